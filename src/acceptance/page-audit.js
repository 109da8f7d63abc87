/**
 * Runs inside the page and gives what is wrong with it for people who use a keyboard, a screen
 * reader or tired eyes: names, headings, ids, contrast (WCAG 2.2, 1.4.3), width. A list of
 * sentences; empty when nothing is.
 */
(() => {
  const found = [];
  const isSeen = (element) =>
    element.checkVisibility({ visibilityProperty: true }) &&
    element.getClientRects().length > 0 &&
    !element.closest(".visually-hidden, .skip");
  const say = (element) =>
    `<${element.tagName.toLowerCase()} class="${element.className}"> ${element.textContent.trim().slice(0, 40)}`;
  const labelText = (element) =>
    [...(element.labels ?? [])].map((label) => label.textContent.trim()).join(" ");
  const nameOf = (element) =>
    element.getAttribute("aria-label") ||
    (element.getAttribute("aria-labelledby") ?? "")
      .split(" ")
      .map((id) => document.getElementById(id)?.textContent.trim() ?? "")
      .join(" ")
      .trim() ||
    labelText(element) ||
    (element.matches("input, select, textarea") ? "" : element.textContent.trim());

  for (const element of document.querySelectorAll(
    "a, button, input, select, textarea, progress, [role], [tabindex='0']",
  )) {
    if (isSeen(element) && !element.matches("[role=status], [role=alert]") && !nameOf(element)) {
      found.push(`has no name: ${say(element)}`);
    }
  }
  for (const element of document.querySelectorAll("[aria-describedby], [aria-labelledby]")) {
    const ids = `${element.getAttribute("aria-describedby") ?? ""} ${element.getAttribute("aria-labelledby") ?? ""}`;
    for (const id of ids.split(" ").filter(Boolean)) {
      if (!document.getElementById(id))
        found.push(`names ${id}, which is not there: ${say(element)}`);
    }
  }
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  for (const id of new Set(ids.filter((each, index) => ids.indexOf(each) !== index))) {
    found.push(`two elements are called ${id}`);
  }

  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].map((heading) =>
    Number(heading.tagName[1]),
  );
  if (levels.filter((level) => level === 1).length !== 1) found.push("there is not one h1");
  for (const [index, level] of levels.entries()) {
    if (level > (levels[index - 1] ?? 0) + 1) found.push(`heading ${index} skips a level`);
  }
  for (const landmark of ["main", "header"]) {
    if (!document.querySelector(landmark)) found.push(`there is no ${landmark}`);
  }
  if (document.documentElement.lang !== "en") found.push("the language is not said");
  const parse = (colour) => {
    const [red, green, blue, alpha = 1] = colour.match(/[\d.]+/g).map(Number);
    return { red, green, blue, alpha };
  };
  const groundOf = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parse(getComputedStyle(each).backgroundColor);
      if (colour.alpha === 1) return colour;
    }
    return { red: 255, green: 255, blue: 255 };
  };
  const luminance = ({ red, green, blue }) => {
    const [r, g, b] = [red, green, blue].map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const told = new Set();
  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some(
      (node) => node.nodeType === 3 && node.data.trim() !== "",
    );
    if (!hasText || !isSeen(element) || element.closest(":disabled, option, svg")) continue;
    const style = getComputedStyle(element);
    const [light, dark] = [luminance(parse(style.color)), luminance(groundOf(element))].sort(
      (a, b) => b - a,
    );
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = Number.parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const sentence = `contrast ${ratio.toFixed(2)} of ${say(element)}`;
    if (ratio < (isLarge ? 3 : 4.5) && !told.has(sentence)) {
      told.add(sentence);
      found.push(sentence);
    }
  }

  const overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (overflow > 0) {
    const wide = [...document.querySelectorAll("main *, header *")]
      .filter(
        (element) =>
          element.getBoundingClientRect().right > innerWidth && !element.closest(".scroll"),
      )
      .map(say);
    found.push(`is ${overflow} pixels too wide: ${wide.slice(0, 3).join("; ")}`);
  }
  return found;
})();
