const letters = "abcdefghijklmnopqrstuvwxyz234567";

/** Bytes in lowercase base 32 (RFC 4648 without padding), as ids are written: 20 bytes are 32 letters. */
export function encodeBase32(bytes: Uint8Array): string {
  let text = "";
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += letters[(held >> (bits - 5)) & 31];
  }
  return bits > 0 ? text + letters[(held << (5 - bits)) & 31] : text;
}
