import { useState } from "preact/hooks";
import { formatTime } from "../format.ts";
import type { ListedToken, MadeToken, NodeRow } from "../mesh-answers.ts";
import { asRefused, call, type Refused } from "./node-client.ts";
import { CopyButton, RefusalNote } from "./pieces.tsx";
import { Table } from "./table.tsx";
import { useAnswer } from "./use-answer.ts";

interface JoinPanelProps {
  readonly isAlone: boolean;
  readonly isOwner: boolean;
  /** Where else join lines are made. */
  readonly owner: NodeRow | undefined;
}

/**
 * What lets another machine into the mesh: made here where this node is an owner of the mesh. It stays where it is
 * when that machine has come, so that a line that was just made does not go away.
 */
export function JoinPanel({ isAlone, isOwner, owner }: JoinPanelProps) {
  const [isExpanded, setExpanded] = useState(isAlone);
  return (
    <section class="panel" aria-labelledby="join-title">
      <div class="panel-head">
        <h2 id="join-title">Let another machine join</h2>
        {isOwner && (
          <button type="button" aria-expanded={isExpanded} onClick={() => setExpanded(!isExpanded)}>
            {isExpanded ? "Close" : "Join line"}
          </button>
        )}
      </div>
      {isAlone && (
        <p>
          This node is alone: a mesh of one.{" "}
          {isOwner && "Make a join line here and run it on another machine, and they are two."}
        </p>
      )}
      {isOwner ? isExpanded && <JoinForm /> : <OwnerWords owner={owner} />}
    </section>
  );
}

function OwnerWords({ owner }: { readonly owner: NodeRow | undefined }) {
  const place = owner?.places[0];
  return (
    <p>
      Join lines are made on an owner of the mesh
      {owner && (
        <>
          , <code>{owner.shortId}</code>
        </>
      )}
      {place && (
        <>
          {" "}
          at <code>{place}</code>
        </>
      )}
      : on its page, or with <code>psionic token create</code> there.
    </p>
  );
}

const roles = ["host", "coordinator", "trainer", "validator", "observer"];
const defaultRoles = ["host", "coordinator", "trainer", "validator"];
const lifetimes = [
  ["10m", "10 minutes"],
  ["1h", "1 hour"],
  ["24h", "a day"],
  ["7d", "a week"],
] as const;

function JoinForm() {
  const tokens = useAnswer<{ tokens: readonly ListedToken[] }>(
    "token/list",
    {},
    { on: ({ type }) => type.startsWith("cluster."), everyMs: 10_000 },
  );
  const [chosen, setChosen] = useState<readonly string[]>(defaultRoles);
  const [ttl, setTtl] = useState("1h");
  const [isReusable, setReusable] = useState(false);
  const [made, setMade] = useState<MadeToken | null>(null);
  const [refused, setRefused] = useState<Refused | null>(null);
  const [isMaking, setMaking] = useState(false);
  const make = async () => {
    setMaking(true);
    setRefused(null);
    setMade(null);
    try {
      const words = roles.filter((role) => chosen.includes(role)).join(",");
      const request = { reusable: isReusable, ttl, roles: words };
      setMade(await call<MadeToken>("token/create", request));
      tokens.refresh();
    } catch (error) {
      setRefused(asRefused(error));
    }
    setMaking(false);
  };
  const toggle = (role: string) =>
    setChosen(chosen.includes(role) ? chosen.filter((each) => each !== role) : [...chosen, role]);
  return (
    <>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void make();
        }}
      >
        <fieldset class="choices">
          <legend>It may be</legend>
          {roles.map((role) => (
            <label key={role}>
              <input
                type="checkbox"
                checked={chosen.includes(role)}
                onChange={() => toggle(role)}
              />{" "}
              {role}
            </label>
          ))}
        </fieldset>
        <div class="join-choices">
          <label>
            Opens for{" "}
            <select value={ttl} onChange={(event) => setTtl(event.currentTarget.value)}>
              {lifetimes.map(([value, name]) => (
                <option key={value} value={value}>
                  {name}
                </option>
              ))}
            </select>
          </label>
          <label>
            <input type="checkbox" checked={isReusable} onChange={() => setReusable(!isReusable)} />{" "}
            any number of machines, not one
          </label>
        </div>
        <button type="submit" class="primary" disabled={isMaking || chosen.length === 0}>
          {isMaking ? "Making…" : "Make a join line"}
        </button>
      </form>
      <RefusalNote refused={refused ?? tokens.refused} />
      <div aria-live="polite">{made && <JoinLine made={made} />}</div>
      <TokenTable tokens={tokens.value?.tokens ?? []} onChanged={tokens.refresh} />
    </>
  );
}

const isLoopback = (place: string) => /^(127\.|localhost:|\[::1\])/.test(place);

/** The line itself: its secret is in this tab alone and nowhere else to be had again. */
function JoinLine({ made }: { readonly made: MadeToken }) {
  const { line, places, isReusable, expiryMs, roles: allowed } = made;
  return (
    <div class="made">
      <div class="line">
        <CopyButton text={line} label="Copy the join line" />
        <pre tabIndex={0} role="region" aria-label="Join line">
          {line}
        </pre>
      </div>
      <p>
        {isReusable ? "Any number of machines join" : "One machine joins"} with it until{" "}
        <time>{formatTime(expiryMs)}</time>, as {allowed.join(", ")}. It is shown this once: copy it
        now.
      </p>
      {places.every(isLoopback) && (
        <p class="muted">
          Only this machine reaches <code>{places[0]}</code>. For others, start the node with its
          door on an address they reach: <code>psionic up --help</code>, <code>--peer-host</code>.
        </p>
      )}
    </div>
  );
}

/** Lines that still open the mesh can be taken back. */
function TokenTable(props: { readonly tokens: readonly ListedToken[]; onChanged(): void }) {
  const [refused, setRefused] = useState<Refused | null>(null);
  const open = props.tokens.filter(({ state }) => state === "open");
  const revoke = async (token: string) => {
    setRefused(null);
    try {
      await call("token/revoke", { token });
    } catch (error) {
      setRefused(asRefused(error));
    }
    props.onChanged();
  };
  if (open.length === 0) return <RefusalNote refused={refused} />;
  return (
    <details>
      <summary>Lines that open the mesh now ({open.length})</summary>
      <RefusalNote refused={refused} />
      <Table label="Join tokens" columns={["Token", "Joined", "Until", "Roles", "Take back"]}>
        {open.map(({ token, useCount, isReusable, expiryMs, roles: allowed }) => (
          <tr key={token}>
            <th scope="row">
              <code>{token}</code>
            </th>
            <td>{isReusable ? useCount : `${useCount} of 1`}</td>
            <td class="figure">{formatTime(expiryMs)}</td>
            <td>{allowed.join(", ")}</td>
            <td>
              <button
                type="button"
                class="small danger"
                aria-label={`Take back ${token}`}
                onClick={() => void revoke(token)}
              >
                revoke
              </button>
            </td>
          </tr>
        ))}
      </Table>
    </details>
  );
}
