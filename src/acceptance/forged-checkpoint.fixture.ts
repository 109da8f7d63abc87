import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { digestBytes } from "#src/codec/digest.ts";
import { merkleLeaves, merkleRoot } from "#src/codec/merkle.ts";
import {
  blocksFile,
  checkpointDirectory,
  type CheckpointManifest,
  manifestFile,
  modelFile,
  optimizerFile,
  pointerFile,
  sealManifest,
} from "#src/train/checkpoint.ts";
import { sealState } from "#src/train/state-digest.ts";

/** Where a tensor's bytes lie in a safetensors file, read by the format's own description. */
export function tensorPlace(file: Buffer, name: string): { start: number; end: number } {
  const headerBytes = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + headerBytes).toString("utf8")) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  const [start, end] = header[name]!.data_offsets;
  return { start: 8 + headerBytes + start, end: 8 + headerBytes + end };
}

/**
 * Writes float32 bits into an element of a parameter and makes every digest of the checkpoint
 * agree again: what someone with write access and this program's source could do.
 */
export function forgeParameter(
  checkpoints: string,
  step: number,
  tensor: string,
  element: number,
  bits: number,
): void {
  const directory = join(checkpoints, checkpointDirectory(step));
  const model = readFileSync(join(directory, modelFile));
  model.writeUInt32LE(bits, tensorPlace(model, tensor).start + element * 4);
  writeFileSync(join(directory, modelFile), model);

  const old = JSON.parse(readFileSync(join(directory, manifestFile), "utf8")) as CheckpointManifest;
  const optimizer = readFileSync(join(directory, optimizerFile));
  const leaves = old.tensors.map(({ name }) => {
    const file = /^(first|second)\./.test(name) ? optimizer : model;
    const { start, end } = tensorPlace(file, name);
    return merkleLeaves(file.subarray(start, end));
  });
  const blocks = Buffer.concat(leaves.flat());
  writeFileSync(join(directory, blocksFile), blocks);
  const tensors = old.tensors.map((each, index) => ({
    ...each,
    root: merkleRoot(leaves[index]!),
  }));
  const contents: Record<string, Buffer> = {
    [modelFile]: model,
    [optimizerFile]: optimizer,
    [blocksFile]: blocks,
  };
  const { digest: _, ...unsealed } = old;
  const manifest = sealManifest({
    ...unsealed,
    tensors,
    stateDigest: sealState(step, tensors).digest,
    files: old.files.map((file) => ({ ...file, sha256: digestBytes(contents[file.name]!) })),
  });
  writeFileSync(join(directory, manifestFile), `${JSON.stringify(manifest)}\n`);
  const pointer = { directory: checkpointDirectory(step), manifestDigest: manifest.digest };
  writeFileSync(join(checkpoints, pointerFile), `${JSON.stringify(pointer)}\n`);
}
