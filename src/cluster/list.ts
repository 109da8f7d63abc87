/** The place of a name in an ascending list, or where it would stand. */
function placeOf<T>(list: readonly T[], nameOf: (each: T) => string, name: string): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (nameOf(list[middle]!) < name) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The list with an element put in, in place of the one of its name. */
export function withElement<T>(
  list: readonly T[],
  nameOf: (each: T) => string,
  element: T,
): readonly T[] {
  const name = nameOf(element);
  const place = placeOf(list, nameOf, name);
  const known = list[place];
  const isKnown = known !== undefined && nameOf(known) === name;
  return list.toSpliced(place, isKnown ? 1 : 0, element);
}
