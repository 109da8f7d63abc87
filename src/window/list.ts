/** The list that ascends by name, with an element put in, in place of the one of its name. */
export function withNamed<T>(
  list: readonly T[],
  nameOf: (each: T) => string,
  element: T,
): readonly T[] {
  const name = nameOf(element);
  const found = list.findIndex((each) => nameOf(each) >= name);
  if (found === -1) return [...list, element];
  return list.toSpliced(found, nameOf(list[found]!) === name ? 1 : 0, element);
}
