import { useState } from "preact/hooks";
import {
  formatCount,
  formatDuration,
  formatFigure,
  formatPercent,
  formatBytes,
  formatShort,
} from "../format.ts";
import { hashOf } from "../router.ts";
import type { MeshRun, OpenWindow } from "../window-answers.ts";
import {
  deadlineText,
  isMeshRunOver,
  phaseText,
  codecText,
  stageText,
  waitCounts,
  waitText,
} from "../window-words.ts";
import { Confirmed } from "./confirmed.tsx";
import { asRefused, call, type Refused } from "./node-client.ts";
import { Progress, Reading, RefusalNote, StateMark, useNow } from "./pieces.tsx";

interface HeadProps {
  readonly mesh: MeshRun;
  onChanged(): void;
}

/** What the run is called, how far it is and why it is where it is, and what its operator can do about it. */
export function MeshRunHead({ mesh, onChanged }: HeadProps) {
  const { name, phase, slots, slotTokens, acceptedSlots, secondsLeft, window } = mesh;
  const words = [phaseText(mesh), isPausing(mesh) ? "It pauses after this window." : ""];
  return (
    <div class="run-head">
      <div class="run-title">
        <h1>{name}</h1>
        <StateMark state={phase} />
        <span class="badge">mesh</span>
        <MeshRunActions {...{ mesh, onChanged }} />
      </div>
      <div class="run-progress">
        <Progress name={name} step={acceptedSlots} steps={slots} />
        <span class="figure">
          {formatShort(acceptedSlots * slotTokens)} of {formatShort(slots * slotTokens)} tokens
        </span>
        <span class="figure muted">
          {isMeshRunOver(mesh) || phase === "paused"
            ? ""
            : secondsLeft === null
              ? "…"
              : `about ${formatDuration(secondsLeft)} left`}
        </span>
      </div>
      {words.join("") !== "" && <p class="muted">{words.join(" ").trim()}</p>}
      {window !== null && <WindowNow window={window} aheadMs={mesh.nowMs - Date.now()} />}
    </div>
  );
}

function isPausing({ wish, phase }: MeshRun): boolean {
  return wish === "pause" && phase !== "paused" && !isMeshRunOver({ phase });
}

interface WindowNowProps {
  readonly window: OpenWindow;
  /** How far the node's clock was ahead of the reader's when it answered. */
  readonly aheadMs: number;
}

/** The window that is open: its stage, what it waits for and until when. */
function WindowNow({ window, aheadMs }: WindowNowProps) {
  const nowMs = useNow(1_000);
  const [done, of] = waitCounts(window);
  return (
    <div class="window-now" role="group" aria-label="The open window">
      <strong>Window {formatCount(window.number)}</strong>
      <span class="state state-running">{stageText(window.stage)}</span>
      <progress
        max={Math.max(1, of)}
        value={done}
        aria-label={`Window ${window.number}, ${waitText(window)}`}
      />
      <span class="figure">{waitText(window)}</span>
      <span class="figure muted">{deadlineText(window.deadlineMs - nowMs - aheadMs)}</span>
    </div>
  );
}

function MeshRunActions({ mesh, onChanged }: HeadProps) {
  const { run, name, phase, wish } = mesh;
  const [refused, setRefused] = useState<Refused | null>(null);
  const [isAsking, setAsking] = useState(false);
  const isOver = isMeshRunOver(mesh);
  const isWaiting = wish === "pause" || phase === "paused";
  const ask = async (command: string) => {
    setAsking(true);
    setRefused(null);
    try {
      await call(command, { run });
      onChanged();
    } catch (error) {
      setRefused(asRefused(error));
    }
    setAsking(false);
  };
  return (
    <>
      <span class="run-actions">
        <a href={hashOf({ view: "compare", runs: [name], axis: "step" })}>Compare</a>
        {!isOver && wish !== "stop" && (
          <button
            type="button"
            disabled={isAsking}
            onClick={() => void ask(isWaiting ? "run/resume" : "run/pause")}
          >
            {isWaiting ? "Resume" : "Pause"}
          </button>
        )}
      </span>
      {!isOver && wish !== "stop" && (
        <Confirmed name="Stop" act={() => call("run/stop", { run })} onDone={onChanged}>
          All nodes end their work on {name}. What was accepted stays and can be sampled and
          exported, but the run never goes on; Pause lets it wait instead.
        </Confirmed>
      )}
      <RefusalNote refused={refused} />
    </>
  );
}

interface ReadingsProps {
  readonly mesh: MeshRun;
  readonly isTask: boolean;
}

export function MeshRunReadings({ mesh, isTask }: ReadingsProps) {
  const { loss, participants, movedBytes, contributionCount } = mesh;
  const atWork = participants.filter(({ steps }) => steps !== null).length;
  const ready = participants.filter(({ revision }) => revision !== null).length;
  return (
    <dl class="readings">
      <Reading label="Held out" note={loss ? `revision ${formatCount(loss.revision)}` : undefined}>
        {formatFigure(loss?.loss)}
      </Reading>
      {isTask && (
        <Reading label="Right" note="of held-out problems">
          {formatPercent(loss === null ? null : 100 * loss.exactMatch)}
        </Reading>
      )}
      <Reading label="Windows" note={`revision ${formatCount(mesh.revision)}`}>
        {formatCount(mesh.windowCount)}
      </Reading>
      <Reading label="At work" note={`${ready} ready, ${participants.length} in all`}>
        {formatCount(atWork)}
      </Reading>
      <Reading label="Tokens/s" note="all together">
        {formatShort(mesh.tokensPerSecond)}
      </Reading>
      <Reading label="Contribution" note={codecText(mesh)}>
        {formatBytes(contributionCount === 0 ? null : Math.round(movedBytes / contributionCount))}
      </Reading>
      {!isTask && (
        <Reading
          label="Accepted"
          note={`${formatCount(mesh.rejectedCount)} rejected, ${formatCount(mesh.missedCount)} missed`}
        >
          {formatCount(mesh.acceptedCount)}
        </Reading>
      )}
    </dl>
  );
}
