import { assert, Refusal } from "#src/refusal/refusal.ts";
import {
  safetensorsHead,
  tensorSizeBytes,
  type SafetensorsTensor,
} from "#src/codec/safetensors.ts";
import type { Disk, FileWriter } from "#src/port/disk.ts";
import type { ModelConfiguration } from "./configuration.ts";
import {
  toGenerationConfig,
  toHuggingFaceConfig,
  type SpecialTokens,
} from "./huggingface-config.ts";
import { mapTensors, type TensorMapping } from "./huggingface-names.ts";

/**
 * Little-endian float32 bytes of one of our parameters, row-major: `lengthBytes` of them from an offset.
 * A parameter may be larger than an array can be, so it is read in pieces.
 */
export type ParameterReader = (
  name: string,
  offsetBytes: number,
  lengthBytes: number,
) => Uint8Array | Promise<Uint8Array>;

/** Bytes read and written at once. */
const pieceBytes = 256 * 1024 * 1024;
/** What is transposed is held whole. */
const transposedMaximum = 2 ** 31;

export interface HuggingFaceExport {
  readonly model: ModelConfiguration;
  readonly read: ParameterReader;
  /** Written as they are: tokenizer.json, tokenizer_config.json, chat_template.jinja. */
  readonly tokenizerFiles: Readonly<Record<string, string | Uint8Array>>;
  readonly tokens?: SpecialTokens;
  readonly directory: string;
  readonly disk: Disk;
}

/**
 * Writes a model as the directory Hugging Face's libraries load: model.safetensors, config.json,
 * generation_config.json and the tokenizer's files. The weights come first and config.json last, so
 * a directory with a config.json is whole. Refuses as the disk does.
 */
export async function exportHuggingFace(request: HuggingFaceExport): Promise<void> {
  const { model, tokens, tokenizerFiles, directory, disk } = request;
  await disk.makeDirectory(directory);
  // Over an older export: from here on the directory is not whole.
  await disk.remove(`${directory}/config.json`);
  await writeWeights(disk, `${directory}/model.safetensors`, mapTensors(model), request.read);
  await disk.syncDirectory(directory);
  for (const [name, content] of Object.entries(tokenizerFiles)) {
    await disk.publish(`${directory}/${name}`, content);
  }
  const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  await disk.publish(`${directory}/generation_config.json`, json(toGenerationConfig(tokens)));
  await disk.publish(`${directory}/config.json`, json(toHuggingFaceConfig(model, tokens)));
}

/** Writes the weights beside their place, where a killed export may have left a beginning, and moves them. */
async function writeWeights(
  disk: Disk,
  path: string,
  mappings: readonly TensorMapping[],
  read: ParameterReader,
): Promise<void> {
  const partial = `${path}.partial`;
  await disk.remove(partial);
  const writer = await disk.create(partial);
  try {
    await writeTensors(writer, mappings, read);
    await writer.sync();
    await writer.close();
    await disk.rename(partial, path);
  } catch (error) {
    await writer.close().catch(() => {});
    await disk.remove(partial).catch(() => {});
    throw error;
  }
}

async function writeTensors(
  writer: FileWriter,
  mappings: readonly TensorMapping[],
  read: ParameterReader,
): Promise<void> {
  const tensors = mappings.map(({ name, shape }): SafetensorsTensor => ({
    name,
    shape,
    type: "F32",
  }));
  await writer.write(safetensorsHead(tensors));
  for (const [index, mapping] of mappings.entries()) {
    const sizeBytes = tensorSizeBytes(tensors[index]!);
    let writtenBytes = 0;
    for await (const bytes of piecesOf(mapping, sizeBytes, read)) {
      await writer.write(bytes);
      writtenBytes += bytes.byteLength;
    }
    assert(writtenBytes === sizeBytes, `${mapping.name} has ${writtenBytes} bytes`);
  }
}

/** The mapping's rows of its parameter, transposed where the file wants them so. */
async function* piecesOf(
  { name, parameter, shape, fromRow, rows, transposed }: TensorMapping,
  sizeBytes: number,
  read: ParameterReader,
): AsyncGenerator<Uint8Array, void, void> {
  if (parameter === null) yield new Uint8Array(sizeBytes);
  else if (transposed) {
    if (sizeBytes > transposedMaximum) throw tooLarge(name, sizeBytes);
    yield transpose(await read(parameter, 0, sizeBytes), rows, shape[0]!);
  } else {
    const startBytes = fromRow * shape[shape.length - 1]! * 4;
    for (let done = 0; done < sizeBytes; done += pieceBytes)
      yield await read(parameter, startBytes + done, Math.min(pieceBytes, sizeBytes - done));
  }
}

function tooLarge(name: string, sizeBytes: number): Refusal {
  return new Refusal(
    "run_unfit",
    `The tensor ${name} of ${sizeBytes} bytes is too large to be exported in GPT-2's layout, which is transposed.`,
    "Export a model of another --style.",
    { tensor: name, sizeBytes },
  );
}

/** rows × columns of float32 as columns × rows, in a new buffer. */
export function transpose(bytes: Uint8Array, rows: number, columns: number): Uint8Array {
  const source = new Uint32Array(bytes.slice().buffer);
  const target = new Uint32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      target[column * rows + row] = source[row * columns + column]!;
    }
  }
  return new Uint8Array(target.buffer);
}
