/** Where the nodes of a picture stand: on a ring, the first at the top, and beside each its name. */

export interface RingLabel {
  /** The end of the name's first line by which it hangs, half way up its letters. */
  readonly x: number;
  readonly y: number;
  readonly anchor: "start" | "middle" | "end";
  /** Degrees, clockwise; names of many nodes are written outwards. */
  readonly turn: number;
}

export interface RingPlace {
  readonly x: number;
  readonly y: number;
  readonly label: RingLabel;
}

export interface Ring {
  readonly width: number;
  readonly height: number;
  readonly nodeRadius: number;
  readonly fontSize: number;
  /** Whether a second line, such as `coordinator`, has room under a name. */
  readonly hasNotes: boolean;
  readonly places: readonly RingPlace[];
}

/** Pixels; what a picture is made of has the size of the text around it, whatever the window's width. */
const radiusMost = 170;
const radiusLeast = 40;
const nodeRadiusMost = 10;
const [fontSize, smallFontSize] = [11, 9];
/** A second circle marks the coordinator. */
export const crownShare = 1.5;
/** Between a node, its second circle included, and its name. */
const gap = 5;
const edge = 3;
/** Of a letter of the fixed-width font, as a share of its size. */
const letterShare = 0.62;
/** Lines of a name and its note, from the top of one to the top of the next, as shares of the font size. */
const lineShare = 1.25;

/** How much of the ring each of so many nodes has. */
const roomOf = (count: number, radius: number) => (2 * Math.PI * radius) / Math.max(1, count);

/**
 * The ring of `count` nodes in a picture `width` pixels wide, whose names have at most `letters` letters.
 * The height follows. Names never overlap and nothing leaves the picture, from 1 to 50 nodes at 280 px.
 */
export function ringOf(count: number, width: number, letters: number): Ring {
  const upright = sizesOf(count, width, letters, fontSize, false);
  if (count <= 2 || linesBetween(upright) >= 1) return place(upright);
  const turned = sizesOf(count, width, letters, fontSize, true);
  if (turned.room >= fontSize + 1) return place(turned);
  return place(sizesOf(count, width, letters, smallFontSize, true));
}

/** How many lines of text fit between names where they come closest: beside the lowest nodes. */
const linesBetween = ({ room, radius, fontSize: size }: Sizes) =>
  (room * room) / radius / (size * lineShare);

interface Sizes {
  readonly count: number;
  readonly width: number;
  readonly radius: number;
  readonly room: number;
  readonly nodeRadius: number;
  readonly fontSize: number;
  readonly labelWidth: number;
  readonly isTurned: boolean;
}

function sizesOf(
  count: number,
  width: number,
  letters: number,
  size: number,
  isTurned: boolean,
): Sizes {
  const labelWidth = letters * size * letterShare;
  const free = width / 2 - labelWidth - nodeRadiusMost * crownShare - gap - edge;
  const few = count === 1 ? 0 : count === 2 ? 110 : radiusMost;
  const radius = count === 1 ? 0 : Math.max(radiusLeast, Math.min(few, free));
  const room = roomOf(count, radius);
  const nodeRadius = count === 1 ? nodeRadiusMost : Math.min(nodeRadiusMost, room * 0.38);
  return { ...{ count, width, radius, room, nodeRadius, labelWidth, isTurned }, fontSize: size };
}

function place(sizes: Sizes): Ring {
  const { count, width, radius, nodeRadius, labelWidth, isTurned } = sizes;
  const outside = isTurned ? labelWidth + gap : sizes.fontSize * 2 + gap * 2;
  const middle = (count === 2 ? 0 : radius) + nodeRadius * crownShare + outside + edge;
  // Two stand side by side, and more begin at the top.
  const start = count === 2 ? Math.PI : -Math.PI / 2;
  const places = Array.from({ length: count }, (_, index) => {
    const angle = start + (2 * Math.PI * index) / count;
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const x = width / 2 + radius * cos;
    const y = middle + radius * sin;
    return { x, y, label: isTurned ? turned(sizes, x, y, angle) : upright(sizes, x, y, cos, sin) };
  });
  return {
    ...{ width, height: 2 * middle, nodeRadius, fontSize: sizes.fontSize, places },
    hasNotes: !isTurned && (count <= 2 || linesBetween(sizes) >= 2),
  };
}

/** Beside a node to the left and right, above or below it at the top and bottom. */
function upright(
  { count, nodeRadius, fontSize }: Sizes,
  x: number,
  y: number,
  cos: number,
  sin: number,
) {
  const away = nodeRadius * crownShare + gap;
  if (count <= 2 || Math.abs(cos) < 0.05) {
    const isAbove = count > 2 && sin < 0;
    const lines = isAbove ? -1.5 * lineShare : 0.5;
    return {
      x,
      y: y + (isAbove ? -away : away) + lines * fontSize,
      anchor: "middle",
      turn: 0,
    } as const;
  }
  const [side, anchor] = cos > 0 ? ([1, "start"] as const) : ([-1, "end"] as const);
  return { x: x + side * away, y, anchor, turn: 0 };
}

/** Outwards from the middle, never upside down. */
function turned({ nodeRadius }: Sizes, x: number, y: number, angle: number) {
  const away = nodeRadius * crownShare + gap;
  const isLeft = Math.cos(angle) < -1e-9;
  const degrees = (angle * 180) / Math.PI;
  return {
    x: x + away * Math.cos(angle),
    y: y + away * Math.sin(angle),
    anchor: isLeft ? ("end" as const) : ("start" as const),
    turn: isLeft ? degrees - 180 : degrees,
  };
}
