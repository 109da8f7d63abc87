import { useEffect, useRef, useState } from "preact/hooks";
import { crownShare, type Ring, ringOf } from "../ring.ts";
import { type DrawnLink, noteLetters, toneNames, type Tone, type Topology } from "../topology.ts";

/** Before the room is measured, and the least there is. */
const widthLeast = 280;

/** The width of an element in whole pixels, measured anew when it changes. */
function useWidth() {
  const element = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const host = element.current;
    if (!host) return undefined;
    const measure = () => setWidth(Math.floor(host.clientWidth));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(host);
    return () => observer.disconnect();
  }, []);
  return { element, width: Math.max(widthLeast, width) };
}

/** The mesh as a picture. Everything in it also stands in the tables of the view. */
export function TopologyPicture({ topology }: { readonly topology: Topology }) {
  const { element, width } = useWidth();
  const { nodes, links } = topology;
  const letters = Math.max(noteLetters, ...nodes.map(({ name }) => name.length));
  const ring = ringOf(nodes.length, width, letters);
  const toldCount = links.filter(({ tone }) => tone === "told").length;
  return (
    <div ref={element} class="topology">
      <svg
        role="img"
        aria-label={topology.words}
        width={ring.width}
        height={ring.height}
        viewBox={`0 0 ${ring.width} ${ring.height}`}
      >
        {links.map((link) => (
          <LinkLine key={`${link.from} ${link.to}`} {...{ link, ring, toldCount }} />
        ))}
        {nodes.map((node, index) => (
          <NodeMark key={node.node} {...{ node, ring, index }} />
        ))}
      </svg>
      <Legend topology={topology} />
    </div>
  );
}

interface LinkLineProps {
  readonly link: DrawnLink;
  readonly ring: Ring;
  /** The more there are between others, the fainter each, so that this node's own stand out. */
  readonly toldCount: number;
}

function LinkLine({ link, ring, toldCount }: LinkLineProps) {
  const [from, to] = [ring.places[link.from], ring.places[link.to]];
  if (!from || !to) return null;
  return (
    <line
      class={`link link-${link.tone}${link.isRelayed ? " link-relayed" : ""}`}
      x1={from.x}
      y1={from.y}
      x2={to.x}
      y2={to.y}
      opacity={link.tone === "told" ? Math.max(0.12, Math.min(0.7, 14 / toldCount)) : undefined}
    >
      <title>{link.words}</title>
    </line>
  );
}

interface NodeMarkProps {
  readonly node: Topology["nodes"][number];
  readonly ring: Ring;
  readonly index: number;
}

function NodeMark({ node, ring, index }: NodeMarkProps) {
  const place = ring.places[index];
  if (!place) return null;
  const { label } = place;
  const kinds = [node.isSelf ? "mark-self" : "", node.isFaded ? "mark-faded" : ""].join(" ");
  const radius = ring.nodeRadius;
  return (
    <g class={`mark ${kinds}`}>
      <title>{node.words}</title>
      {node.isCoordinator && (
        <circle class="crown" cx={place.x} cy={place.y} r={radius * crownShare} />
      )}
      <circle class="dot" cx={place.x} cy={place.y} r={radius} />
      <text
        x={label.x}
        y={label.y}
        text-anchor={label.anchor}
        dominant-baseline="central"
        font-size={ring.fontSize}
        transform={label.turn === 0 ? undefined : `rotate(${label.turn} ${label.x} ${label.y})`}
      >
        <tspan class="name">{node.name}</tspan>
        {ring.hasNotes && node.note !== "" && (
          <tspan class="note-line" x={label.x} dy={ring.fontSize * 1.25}>
            {node.note}
          </tspan>
        )}
      </text>
    </g>
  );
}

/** What the looks in the picture mean, those that stand in it. */
function Legend({ topology: { nodes, links } }: { readonly topology: Topology }) {
  const tones = (Object.keys(toneNames) as Tone[]).filter((tone) =>
    links.some((link) => link.tone === tone),
  );
  return (
    <ul class="topology-legend" aria-label="What the picture shows">
      {nodes.some(({ isSelf }) => isSelf) && <MarkEntry kind="mark-self" name="this node" />}
      {nodes.some(({ isCoordinator }) => isCoordinator) && (
        <MarkEntry kind="" name="coordinator" isCrowned />
      )}
      {nodes.some(({ isFaded }) => isFaded) && (
        <MarkEntry kind="mark-faded" name="offline or suspected" />
      )}
      {tones.map((tone) => (
        <LineEntry key={tone} look={`link-${tone}`} name={toneNames[tone]} />
      ))}
      {links.some(({ isRelayed }) => isRelayed) && (
        <LineEntry look="link-plain link-relayed" name="through another node" />
      )}
    </ul>
  );
}

function MarkEntry(props: {
  readonly kind: string;
  readonly name: string;
  readonly isCrowned?: boolean;
}) {
  return (
    <li>
      <svg aria-hidden="true" class={`mark ${props.kind}`} width="18" height="18">
        {props.isCrowned && <circle class="crown" cx="9" cy="9" r="7.5" />}
        <circle class="dot" cx="9" cy="9" r="5" />
      </svg>
      {props.name}
    </li>
  );
}

function LineEntry({ look, name }: { readonly look: string; readonly name: string }) {
  return (
    <li>
      <svg aria-hidden="true" width="28" height="18">
        <line class={`link ${look}`} x1="1" y1="9" x2="27" y2="9" />
      </svg>
      {name}
    </li>
  );
}
