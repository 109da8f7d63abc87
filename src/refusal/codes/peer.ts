import { entry, type CodeEntry } from "./entry.ts";

/** Calls between nodes: envelopes, replies and the line that carries them. */
export const peerCodes = {
  envelope_malformed: entry(
    13,
    400,
    false,
    "A document from another node is not canonical JSON of the shape this version reads. Something that is no psionic may be at the other end, or something that prints before it.",
  ),
  envelope_misdirected: entry(
    14,
    421,
    false,
    "The call was sealed for another node than the one that got it. Seal it for the node that answers.",
  ),
  envelope_forged: entry(
    13,
    403,
    false,
    "The call is not what its sender signed, or the key that signed it is not the sender's.",
  ),
  envelope_stale: entry(
    16,
    409,
    true,
    "The call was sent too long before, or after, the time of the node that got it. Set the clocks of both machines.",
  ),
  envelope_replayed: entry(
    16,
    409,
    false,
    "A call of the same id and key was admitted before. A recorded call runs once, whoever sends it again.",
  ),
  message_too_large: entry(
    14,
    413,
    false,
    "A call, or one reply to it, does not fit the one mebibyte a document between nodes may have. Ask for less at once.",
  ),
  peer_busy: entry(
    15,
    503,
    true,
    "The node got more calls of peers within minutes than it remembers. Try again in a few minutes.",
  ),
  peer_unreachable: entry(
    15,
    502,
    true,
    "No node answered at the other end of the line. Run the command line after --via by itself and read what it says.",
  ),
  peer_unexpected: entry(13, 409, false, "Another node answered than the one named by --to."),
  peer_refused: entry(
    14,
    502,
    false,
    "The other node refused for a reason this version has no code for; the details hold the code. A newer psionic may know it.",
  ),
  peer_failed: entry(
    15,
    502,
    false,
    "The other node met a bug while it ran the command. Its owner finds the bug in that node's log.",
  ),
  hello_forged: entry(
    13,
    502,
    false,
    "Who is at the other end of the line cannot be proved: what it said of itself is not signed by the key it names, over the question that was asked.",
  ),
  reply_forged: entry(
    13,
    502,
    false,
    "A reply is not what the called node signed: something on the way changed it, or another node wrote it. The command may have run.",
  ),
  reply_broken: entry(
    13,
    502,
    false,
    "Replies to a call were lost, moved, repeated or cut off on the way. The command may have run; look at the other node before calling again.",
  ),
  channel_unbound: entry(
    13,
    502,
    false,
    "The node did not sign the certificate that this connection has: a machine in between ends the encryption and passes things on. Compare the fingerprint with `psionic identity show` on that machine.",
  ),
  certificate_unpinned: entry(
    13,
    409,
    false,
    "The certificate at that address was never confirmed. Compare the fingerprint with `psionic identity show` on that machine, then give it with --pin; it is remembered for that node.",
  ),
  certificate_changed: entry(
    13,
    409,
    false,
    "The certificate at that address is another one than the one that was pinned. Another machine answers, something stands in between, or the node's home was made anew.",
  ),
  peer_name_unknown: entry(
    15,
    502,
    true,
    "The name of the machine does not resolve to an address. Check its spelling, or give the address itself.",
  ),
  peer_port_closed: entry(
    15,
    502,
    true,
    "The machine answered that nothing listens on that port. Start the node there with `psionic up --peer-port PORT`, and check the port.",
  ),
  peer_silent: entry(
    15,
    502,
    true,
    "Nothing came back from that address: the machine is off or unreachable, or a firewall drops what is sent to that port.",
  ),
  peer_not_tls: entry(
    15,
    502,
    false,
    "Something listens there that does not speak TLS. The peer port is the one after --peer-port, not the port of the page.",
  ),
  peer_not_psionic: entry(
    15,
    502,
    false,
    "Something listens there that speaks TLS and is no node. Check the port: `psionic status` on that machine shows the address for peers.",
  ),
  peer_version: entry(
    15,
    502,
    false,
    "The node at that address speaks another version of the calls between nodes. Bring both machines to the same version of psionic.",
  ),
} as const satisfies Record<string, CodeEntry>;
