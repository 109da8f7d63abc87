import { useState } from "preact/hooks";
import { formatDigest, missing } from "../format.ts";

/** A digest's beginning; pressed, all of it. */
export function Digest(props: {
  readonly value: string | null | undefined;
  readonly name: string;
}) {
  const { value, name } = props;
  const [isWhole, setWhole] = useState(false);
  if (!value) return <>{missing}</>;
  return (
    <button
      type="button"
      class="small digest"
      aria-expanded={isWhole}
      aria-label={`${name}: ${isWhole ? value : formatDigest(value)}`}
      onClick={() => setWhole(!isWhole)}
    >
      {isWhole ? value : `${formatDigest(value)}…`}
    </button>
  );
}
