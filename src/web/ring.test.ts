import { expect, test } from "bun:test";
import { type Ring, ringOf } from "./ring.ts";

const widths = [280, 328, 560, 1200];
const counts = Array.from({ length: 50 }, (_, index) => index + 1);
const letters = 9;

type Point = readonly [number, number];

/** The corners of a name, with its second line where there is room for one. */
function cornersOf({ fontSize, hasNotes }: Ring, { label }: Ring["places"][number]): Point[] {
  const width = letters * fontSize * 0.62;
  const left = label.anchor === "start" ? 0 : label.anchor === "end" ? -width : -width / 2;
  const [top, bottom] = [-fontSize * 0.5, fontSize * (hasNotes ? 1.75 : 0.5)];
  const angle = (label.turn * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [
    [left, top],
    [left + width, top],
    [left + width, bottom],
    [left, bottom],
  ].map(([x = 0, y = 0]) => [label.x + x * cos - y * sin, label.y + x * sin + y * cos]);
}

/** Whether two convex shapes share a point: no line parts them. */
function overlap(a: readonly Point[], b: readonly Point[]): boolean {
  const parts = (shape: readonly Point[]) =>
    shape.some(([x, y], index) => {
      const [nextX, nextY] = shape[(index + 1) % shape.length]!;
      const along = ([px, py]: Point) => px * (y - nextY) + py * (nextX - x);
      const [first, second] = [a.map(along), b.map(along)];
      return (
        Math.max(...first) <= Math.min(...second) + 0.01 ||
        Math.max(...second) <= Math.min(...first) + 0.01
      );
    });
  return !parts(a) && !parts(b);
}

test.each(widths)("C-7 1 to 50 nodes fit a picture %i pixels wide", (width) => {
  for (const count of counts) {
    const ring = ringOf(count, width, letters);
    expect(ring.places).toHaveLength(count);
    for (const place of ring.places) {
      for (const [x, y] of [...cornersOf(ring, place), [place.x, place.y] as const]) {
        expect({ count, isInside: x >= 0 && x <= width && y >= 0 && y <= ring.height }).toEqual({
          count,
          isInside: true,
        });
      }
    }
  }
});

test.each(widths)("C-7 neither nodes nor names cover one another at %i pixels", (width) => {
  for (const count of counts) {
    const ring = ringOf(count, width, letters);
    const names = ring.places.map((place) => cornersOf(ring, place));
    for (let a = 0; a < count; a++) {
      for (let b = a + 1; b < count; b++) {
        const [one, other] = [ring.places[a]!, ring.places[b]!];
        const apart = Math.hypot(one.x - other.x, one.y - other.y);
        expect({ count, a, b, isApart: apart > 2 * ring.nodeRadius }).toMatchObject({
          isApart: true,
        });
        expect({ count, a, b, isCovered: overlap(names[a]!, names[b]!) }).toMatchObject({
          isCovered: false,
        });
      }
    }
  }
});

test("C-7 letters stay readable and nodes visible at the smallest width", () => {
  const ring = ringOf(50, 280, letters);
  expect(ring.fontSize).toBeGreaterThanOrEqual(9);
  expect(ring.nodeRadius).toBeGreaterThan(2.5);
  expect(ringOf(5, 280, letters).hasNotes).toBe(true);
  expect(ring.hasNotes).toBe(false);
});

test("the first of several stands at the top, and two stand side by side", () => {
  const five = ringOf(5, 600, letters);
  expect(Math.min(...five.places.map(({ y }) => y))).toBe(five.places[0]!.y);
  const two = ringOf(2, 600, letters);
  expect(two.places[0]!.y).toBeCloseTo(two.places[1]!.y);
  expect(two.places[0]!.x).toBeLessThan(two.places[1]!.x);
});
