const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** Bytes as lowercase Crockford base 32: no letter that looks like a digit. Five bytes give eight characters. */
export function encodeCrockford(bytes: Uint8Array): string {
  let text = "";
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += alphabet[(held >> (bits - 5)) & 31];
  }
  return bits > 0 ? text + alphabet[(held << (5 - bits)) & 31] : text;
}
