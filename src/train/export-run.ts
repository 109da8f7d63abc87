/** Writes a checkpoint's model in other programs' formats. Every byte read is verified first. */
import type { Services } from "#src/command/define.ts";
import { compileDecoding } from "#src/model/compile.ts";
import { exportHuggingFace } from "#src/model/huggingface-export.ts";
import { assert } from "#src/refusal/refusal.ts";
import { checkpointSteps, noCheckpoint, restoreCheckpoint } from "./checkpoint-restore.ts";
import { Executor } from "./executor.ts";
import { openHoldingBackend } from "./open-backend.ts";
import { reopenRunData } from "./run-data.ts";
import type { Run } from "./run-store.ts";

/** Refuses with `checkpoint_missing`, and as the disk does. */
export async function exportRun(
  run: Run,
  { disk, clock, home }: Services,
  directory: string,
  step: number | undefined,
): Promise<{ readonly step: number }> {
  const { model } = run.manifest;
  const dataset = await reopenRunData(run.manifest, disk, home.root);
  // Nothing is computed here; a plan of capacity 1 says where each parameter lies.
  const plan = compileDecoding({ model, capacity: 1 });
  const backend = await openHoldingBackend(plan);
  const executor = new Executor(backend, plan, clock);
  const checkpoints = `${home.runs}/${run.id}/checkpoints`;
  try {
    const restored = await restoreCheckpoint(disk, checkpoints, executor, {
      run: run.id,
      planDigest: null,
      ...(step === undefined ? {} : { exactStep: step }),
    });
    if (!restored) throw noCheckpoint(run, step, await checkpointSteps(disk, checkpoints));
    const parameters = new Map(executor.plan.parameters.map((tensor) => [tensor.name, tensor]));
    const { endOfText } = dataset.tokenizer;
    await exportHuggingFace({
      model,
      disk,
      directory,
      tokenizerFiles: Object.fromEntries(
        dataset.tokenizer.files().map(({ name, content }) => [name, content]),
      ),
      ...(endOfText === null ? {} : { tokens: { eosTokenIds: [endOfText] } }),
      read(name, offsetBytes, lengthBytes) {
        const tensor = parameters.get(name);
        assert(tensor, `the model has no parameter ${name}`);
        const memory = executor.memory(tensor.space);
        assert(memory, `no memory for ${name}`);
        return memory.view(tensor.offsetBytes + offsetBytes, lengthBytes);
      },
    });
    return { step: restored.manifest.step };
  } finally {
    executor.release();
    backend.release();
  }
}
