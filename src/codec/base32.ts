/** Five bits a letter, without padding. */
function encode(bytes: Uint8Array, alphabet: string): string {
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

/** Bytes in lowercase base 32 (RFC 4648), as ids are written: 20 bytes are 32 letters. */
export function encodeBase32(bytes: Uint8Array): string {
  return encode(bytes, "abcdefghijklmnopqrstuvwxyz234567");
}

/** Bytes as lowercase Crockford base 32: no letter that looks like a digit. Five bytes give eight characters. */
export function encodeCrockford(bytes: Uint8Array): string {
  return encode(bytes, "0123456789abcdefghjkmnpqrstvwxyz");
}
