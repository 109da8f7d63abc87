/**
 * GPT-2's way of writing bytes as printable characters, which every byte-level tokenizer file
 * uses: printable Latin-1 stands for itself, the 68 other bytes are the characters from U+0100 on.
 */
export const byteCharacters: readonly string[] = (() => {
  const characters: string[] = [];
  let substitute = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable =
      (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
    characters.push(String.fromCharCode(printable ? byte : substitute++));
  }
  return characters;
})();

/** The byte of each such character. */
const characterBytes: ReadonlyMap<string, number> = new Map(
  byteCharacters.map((character, byte) => [character, byte]),
);

/** All bytes in the order of their characters: the order in which GPT-2 numbers them. */
export const bytesInTokenOrder: readonly number[] = Array.from(
  { length: 256 },
  (_, byte) => byte,
).sort((a, b) => byteCharacters[a]!.charCodeAt(0) - byteCharacters[b]!.charCodeAt(0));

/** Bytes written with these characters. */
export function writeBytes(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byteCharacters[byte];
  return text;
}

/** Bytes read back, or null when a character stands for no byte. */
export function readBytes(text: string): Uint8Array | null {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) {
    const byte = characterBytes.get(text[index]!);
    if (byte === undefined) return null;
    bytes[index] = byte;
  }
  return bytes;
}
