import { entry, type CodeEntry } from "./entry.ts";

/** Texts, data sets, tokenizers and the files of models. */
export const dataCodes = {
  data_empty: entry(
    14,
    422,
    false,
    "The data holds no text: an empty file, a directory without text files, or records whose text is empty.",
  ),
  data_binary: entry(
    14,
    422,
    false,
    "The file is not text: it has NUL bytes or too many control characters. Give plain text or JSONL; convert documents and UTF-16 files first.",
  ),
  data_not_utf8: entry(
    14,
    422,
    false,
    "The file is not valid UTF-8 at the place named. Convert it, for example with `iconv -t utf-8`.",
  ),
  data_jsonl_invalid: entry(
    14,
    422,
    false,
    "A line of a JSONL file is not a JSON object with the text field, or the last line is cut off. The message names the line.",
  ),
  data_too_small: entry(
    14,
    422,
    false,
    "The training or the held-out part has fewer tokens than one context. Give more text or a smaller context.",
  ),
  data_changed: entry(
    14,
    409,
    true,
    "A data file changed while it was read. Run the command again once nothing writes to it.",
  ),
  dataset_damaged: entry(
    13,
    422,
    false,
    "The prepared dataset (manifest, tokenizer or token files) is not what its manifest says. Delete its directory; it is prepared again from the sources.",
  ),
  tokenizer_invalid: entry(
    14,
    422,
    false,
    "The tokenizer.json cannot be used: it is no valid file, or of a kind other than byte-level BPE.",
  ),
  character_unknown: entry(
    14,
    422,
    false,
    "A character tokenizer only knows the characters of the text it was made from.",
  ),
  question_invalid: entry(
    2,
    400,
    false,
    "The built-in task answers additions such as 1234+5678, with as many digits as it was trained on.",
  ),
  safetensors_wrong: entry(
    13,
    422,
    false,
    "A safetensors file breaks the format: a bad header, holes, overlaps, sizes that do not fit, or a cut-off end. Take it from its source again.",
  ),
} as const satisfies Record<string, CodeEntry>;
