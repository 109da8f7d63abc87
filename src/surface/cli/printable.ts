/**
 * Text from outside (a model's words, a file's name) as a terminal may show it: control characters
 * would move its cursor, change its title or answer for the person at it, so they appear as symbols.
 * Tabs and line ends stay; a carriage return, which could write over a line, is left out.
 */
export function printable(text: string): string {
  return text.replace(/[^\P{Cc}\t\n]/gu, (control) => {
    const code = control.charCodeAt(0);
    if (control === "\r") return "";
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? "\u2421" : "\ufffd";
  });
}

const escape = "\x1b";
/** Plain, bold and six colours: none hides a text. */
const colourMark = new RegExp(`(${escape}\\[(?:0|1|3[1-6])m)`);

/** The same for what a command's view may have coloured: the few marks that this program writes stay. */
export function printableInColour(text: string): string {
  return text
    .split(colourMark)
    .map((part, index) => (index % 2 === 1 ? part : printable(part)))
    .join("");
}
