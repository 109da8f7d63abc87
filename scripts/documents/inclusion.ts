/**
 * Documents show what is written elsewhere: a capture of a real run, a table of another page. The
 * place is marked in the document, and what stands between the marks is made by a script:
 *
 *   <!-- include fixtures/capture/addition.txt -->      a file, shown as a block of text
 *   <!-- include docs/LOG.md#speed -->                  a section of a page, as it stands there
 *   <!-- end -->
 *
 * A section is what a page has between `<!-- section speed -->` and `<!-- end -->`.
 */
const inclusion = /<!-- include (\S+) -->\n[\s\S]*?<!-- end -->/g;

/** Fills every marked place of a document; `read` gives the text of a path from the root folder. */
export function fillInclusions(document: string, read: (path: string) => string): string {
  return document.replace(inclusion, (_, source: string) => {
    const [path = "", section] = source.split("#");
    const text = read(path);
    const shown =
      section === undefined ? `\`\`\`text\n${text.trimEnd()}\n\`\`\`` : sectionOf(text, section);
    return `<!-- include ${source} -->\n\n${shown}\n\n<!-- end -->`;
  });
}

/** A named section of a page. Throws when the page has none of that name. */
export function sectionOf(page: string, name: string): string {
  const opening = `<!-- section ${name} -->`;
  const from = page.indexOf(opening);
  const to = page.indexOf("<!-- end -->", from);
  if (from < 0 || to < 0) throw new Error(`no section called ${name}`);
  return page.slice(from + opening.length, to).trim();
}
