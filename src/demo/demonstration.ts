/**
 * What `psionic demo` does: the built-in task from nothing under the same supervision as `train`,
 * a kill -9 of the trainer in the middle, the run going on by itself, and questions. Whatever is
 * said on the screen was checked a moment before; what does not hold is a refusal.
 */
import type { CommandContext } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { IsaName } from "#src/train/isa.ts";
import { loadModel } from "#src/train/load-model.ts";
import { RunStore } from "#src/train/run-store.ts";
import type { TrainEvent, TrainResult } from "#src/train/train-event.ts";
import { train } from "#src/train/train-run.ts";
import { replay } from "#src/validate/replay.ts";
import { askOne, type Answered, demoQuestions } from "./questions.ts";
import { type Kill, Sabotage } from "./sabotage.ts";

/** The least share of held-out problems the trained model must get right. */
export const exactMatchMinimum = 0.99;

export interface DemoRequest {
  readonly verify: boolean;
  readonly threads?: number | undefined;
  readonly isa?: IsaName | undefined;
}

export interface DemoResult {
  readonly type: "done";
  readonly run: string;
  readonly name: string;
  readonly directory: string;
  readonly exactMatch: number;
  readonly killed: boolean;
  readonly killedPid: number;
  readonly killedAtStep: number;
  readonly resumedFromStep: number;
  /** Steps that two processes computed, with the same bits. */
  readonly recomputedSteps: number;
  readonly steps: number;
  readonly seconds: number;
  readonly digest: string;
  /** True when an undisturbed computation of the whole run gave the same digest. */
  readonly verified: boolean;
  readonly questions: readonly Answered[];
}

/** The demonstration kills its own trainer, so it never joins a daemon: another home will do. */
function takeHome({ lock, home }: CommandContext["services"]): void {
  try {
    lock();
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "home_locked") throw error;
    const elsewhere = `${home.root}-demo`;
    throw new Refusal(
      "home_locked",
      error.message,
      `\`psionic demo --home ${elsewhere}\` shows it in a home of its own; what runs here goes on`,
      { ...error.details, elsewhere },
    );
  }
}

/** Refuses with `demo_failed` when anything it shows does not hold, and as `train` does. */
export async function demonstrate(
  request: DemoRequest,
  context: CommandContext,
): Promise<DemoResult> {
  const { services, emit, signal } = context;
  const { clock, home } = services;
  const startedMs = clock.monotonicMs();
  takeHome(services);
  await services.identity.openOrCreate();
  const runs = new RunStore(services.store);
  const name = freeName(runs);
  emit({ type: "demo", name, home: home.root });

  const sabotage = new Sabotage(emit);
  const result = await train(trainRequest(request, name), {
    ...context,
    // The services themselves, seen through the one whose children are watched.
    services: Object.create(services, {
      processes: { value: sabotage.watch(services.processes) },
    }) as typeof services,
    emit(event) {
      emit(event);
      sabotage.see(event as unknown as TrainEvent);
    },
  });
  if (result.type === "interrupted")
    throw new Refusal(
      "interrupted",
      `The demonstration was stopped after step ${result.steps}.`,
      `\`psionic train --resume ${name}\` goes on with its run; \`psionic demo\` begins again.`,
      { run: result.run },
    );
  const kill = checkSurvival(result, sabotage);
  const exactMatch = checkLearning(result);
  emit({ type: "trained", steps: result.steps, exactMatch, digest: result.digest });
  if (request.verify) await verify(request, result, runs, context);
  const questions = await ask(request, result, runs, context);
  signal.throwIfAborted();
  return {
    type: "done",
    run: result.run,
    name,
    directory: `${home.runs}/${result.run}`,
    exactMatch,
    killed: true,
    killedPid: kill.pid,
    killedAtStep: kill.step,
    resumedFromStep: sabotage.resumedFromStep!,
    recomputedSteps: sabotage.recomputedSteps,
    steps: result.steps,
    seconds: (clock.monotonicMs() - startedMs) / 1000,
    digest: result.digest,
    verified: request.verify,
    questions,
  };
}

/** `psionic train` without a file, with a name and nothing else. */
function trainRequest({ threads, isa }: DemoRequest, name: string) {
  return {
    files: [],
    resume: false,
    name,
    ...(threads === undefined ? {} : { threads }),
    ...(isa === undefined ? {} : { isa }),
  };
}

function freeName(runs: RunStore): string {
  for (let number = 1; ; number++) {
    const name = `demo-${number}`;
    if (!runs.isNameTaken(name)) return name;
  }
}

/** The kill happened, the run went on from a checkpoint, and work was computed twice alike. */
function checkSurvival(result: TrainResult, sabotage: Sabotage): Kill {
  const { kill, deathReason, resumedFromStep, recomputedSteps } = sabotage;
  if (kill === null) throw failed("The run ended before its trainer could be killed.", result);
  if (deathReason?.includes("SIGKILL") !== true)
    throw failed(
      `The trainer was to die by SIGKILL; instead ${deathReason ?? "it lived"}.`,
      result,
    );
  if (resumedFromStep === null || resumedFromStep < kill.checkpointStep)
    throw failed(
      `After the kill the run went on from step ${resumedFromStep ?? "none"}, behind its checkpoint of step ${kill.checkpointStep}.`,
      result,
    );
  if (recomputedSteps === 0)
    throw failed("No step was computed twice, so nothing could be compared.", result);
  return kill;
}

function checkLearning(result: TrainResult): number {
  const exactMatch = result.exactMatch ?? 0;
  if (exactMatch >= exactMatchMinimum) return exactMatch;
  throw failed(
    `The model got ${(exactMatch * 100).toFixed(2)} % of the held-out problems right, less than ${exactMatchMinimum * 100} %.`,
    result,
  );
}

/** Computes the whole run again from its seed, undisturbed, and compares every recorded bit. */
async function verify(
  { threads, isa }: DemoRequest,
  result: TrainResult,
  runs: RunStore,
  { services, emit, signal }: CommandContext,
): Promise<void> {
  const report = await replay(
    runs.byId(result.run),
    runs,
    services,
    {
      ...{ from: 1, to: result.steps },
      threads: threads ?? (await services.machine.facts()).coreCount,
      isa: isa ?? null,
    },
    emit,
    signal,
  );
  if (report.digest !== result.digest)
    throw failed(
      `The undisturbed run has the digest ${report.digest}, the killed one ${result.digest}.`,
      result,
    );
  emit({ type: "verified", steps: report.comparedSteps, digest: report.digest });
}

async function ask(
  { isa }: DemoRequest,
  result: TrainResult,
  runs: RunStore,
  { services, emit, signal }: CommandContext,
): Promise<Answered[]> {
  const model = await loadModel(runs.byId(result.run), services, { isa });
  try {
    const answers: Answered[] = [];
    for (const question of demoQuestions(model.addition!)) {
      const answered = await askOne(model, question, signal);
      emit({ type: "answer", ...answered });
      answers.push(answered);
    }
    const wrong = answers.find(({ right }) => !right);
    if (wrong)
      throw failed(
        `The model answered ${wrong.question} with ${wrong.answer} instead of ${wrong.expected}.`,
        result,
      );
    return answers;
  } finally {
    model.release();
  }
}

function failed(message: string, { run, name }: TrainResult): Refusal {
  return new Refusal(
    "demo_failed",
    message,
    `\`psionic run status ${name}\` shows what happened; please report it.`,
    { run },
  );
}
