import { formatAgo, formatBytes, formatCount, formatDuration, formatTime } from "../format.ts";
import type { LinkRow, MeshStatus, ShownNode } from "../mesh-answers.ts";
import {
  heardText,
  labelsText,
  linkText,
  loadText,
  lossText,
  partText,
  rateText,
  roundTripText,
  skewText,
} from "../mesh-words.ts";
import type { ShownReceipt } from "../protocol.ts";
import { hashOf } from "../router.ts";
import { MeasuredTable } from "./link-tables.tsx";
import { MemberActions } from "./member-actions.tsx";
import { Standing } from "./member-tables.tsx";
import { Digest } from "./digest.tsx";
import { Facts, Loading, RefusalNote, useNow } from "./pieces.tsx";
import { ReceiptTable } from "./receipt-table.tsx";
import { useAnswer } from "./use-answer.ts";

const isOfCluster = ({ type }: { readonly type: string }) => type.startsWith("cluster.");
const receiptsShown = 20;

/** One member: everything that is known of it, in full, and what can be decided about it. */
export function MemberView({ wanted }: { readonly wanted: string }) {
  const kept = { on: isOfCluster, everyMs: 3_000 };
  const member = useAnswer<ShownNode>("node/show", { node: wanted }, kept);
  const status = useAnswer<MeshStatus>("cluster/status", {}, { ...kept, everyMs: 15_000 });
  const { value } = member;
  return (
    <>
      <div class="run-title">
        <h1>
          Member <code>{value?.shortId ?? wanted.slice(0, 9)}</code>
        </h1>
        {value !== null && <Standing row={value} />}
        <span class="run-actions">
          <a href={hashOf({ view: "cluster", node: "" })}>The whole cluster</a>
        </span>
      </div>
      <RefusalNote refused={member.refused ?? status.refused} />
      {value === null && member.refused === null && <Loading what="the member" />}
      {value !== null && (
        <div class="columns">
          <MemberFacts member={value} />
          {value.link !== null && <LinkFacts link={value.link} />}
          {status.value !== null && (
            <MemberActions row={value} status={status.value} onChanged={member.refresh} />
          )}
          <MemberReceipts node={value.node} />
          {value.links.length > 0 && (
            <section class="panel" aria-labelledby="measured-title">
              <h2 id="measured-title">Its links as either end measured them</h2>
              <MeasuredTable rows={[value]} links={value.links} />
            </section>
          )}
        </div>
      )}
    </>
  );
}

function MemberFacts({ member }: { readonly member: ShownNode }) {
  const nowMs = useNow();
  const { facts, provenance } = member;
  const since = `${formatAgo(member.sinceMs, nowMs)}, ${formatTime(member.sinceMs)}`;
  return (
    <section class="panel" aria-labelledby="member-title">
      <h2 id="member-title">Node</h2>
      <Facts
        facts={[
          ["node id", member.node],
          ["this node", member.isSelf ? "yes" : "no"],
          ["founder", member.isFounder ? "yes" : "no"],
          ["owner", member.isOwner ? "yes" : "no"],
          ["since", since],
          ["part", partText(member)],
          ["roles", member.roles],
          ["labels", labelsText(member.labels)],
          ["epoch", member.epoch],
          ["reached at", member.places],
          ["came with", member.token === null ? "the founding" : `token ${member.token}`],
          ["lease until", formatTime(member.leaseUntilMs)],
          ["key", <Digest name="key" value={member.key} />],
          ["certificate", <Digest name="certificate" value={member.certificate} />],
          ["decided by", provenance && `${provenance.author}, as ${provenance.scope}`],
          ["device", facts?.device],
          ["memory", formatBytes(facts?.memoryBytes)],
          ["load", loadText(facts)],
          ["exact tokens/s", formatCount(facts?.exactTokensPerSecond || null)],
          ["fast tokens/s", formatCount(facts?.fastTokensPerSecond || null)],
          ["clock", skewText(member.clockSkewMs)],
          ["blobs held", member.blobCount],
          ["measured", facts && `${formatDuration(Math.round(facts.ageMs / 1000))} ago`],
        ]}
      />
    </section>
  );
}

function LinkFacts({ link }: { readonly link: LinkRow }) {
  const { claims, reason } = link;
  return (
    <section class="panel" aria-labelledby="link-title">
      <h2 id="link-title">Link and claims</h2>
      <RefusalNote refused={reason} />
      <Facts
        facts={[
          ["heard", heardText(link.silentMs)],
          ["state", linkText(link, (node) => node)],
          ["address", link.place],
          ["round trip", roundTripText(link.roundTripUs)],
          ["loss", lossText(link.lossPerMillion)],
          ["rate", rateText(link.bytesPerSecond)],
          ["sent", formatBytes(link.sentBytes)],
          ["received", formatBytes(link.receivedBytes)],
          ["failed dials", link.failureCount],
          ["next dial", link.nextDialMs === null ? null : formatDuration(link.nextDialMs / 1000)],
          ["policy", claims?.policy],
          ["claims", claims?.result],
          ["profile", claims?.profile],
          ["proof posture", claims?.proofPosture.replaceAll("_", " ")],
          ["identity digest", <Digest name="identity digest" value={claims?.identityDigest} />],
          ["manifest digest", <Digest name="manifest digest" value={claims?.manifestDigest} />],
          ["why", claims?.reason],
        ]}
      />
    </section>
  );
}

function MemberReceipts({ node }: { readonly node: string }) {
  const receipts = useAnswer<{ receipts: ShownReceipt[] }>(
    "receipt/list",
    { subject: node, limit: receiptsShown },
    { on: ({ type, subject }) => subject === node && type.startsWith("cluster.") },
  );
  const list = receipts.value?.receipts ?? [];
  const count = list.length < receiptsShown ? String(list.length) : `${receiptsShown} newest`;
  return (
    <section class="panel" aria-labelledby="member-receipts-title">
      <div class="panel-head">
        <h2 id="member-receipts-title">Receipts ({count})</h2>
        <a href={hashOf({ view: "receipts", subject: node, digest: "" })}>All about it</a>
      </div>
      <RefusalNote refused={receipts.refused} />
      {receipts.value === null ? (
        receipts.refused === null && <Loading what="receipts" />
      ) : (
        <ReceiptTable
          receipts={list}
          isBrief
          empty="None here. A node signs for admissions, orders and evictions once it is a member itself."
        />
      )}
    </section>
  );
}
