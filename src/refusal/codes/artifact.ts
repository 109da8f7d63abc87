import { entry, type CodeEntry } from "./entry.ts";

/** Content-addressed artifacts: keeping, pulling and giving them out. */
export const artifactCodes = {
  artifact_manifest_wrong: entry(
    13,
    422,
    false,
    "The manifest of an artifact breaks the format: sizes or counts that do not fit or pass a maximum, a path that leaves its folder, a name that stands twice, or a text that is not canonical. Whoever made it must make it again.",
  ),
  artifact_too_large: entry(
    14,
    413,
    false,
    "An artifact has more bytes than what it was to be can have. Nothing of it was fetched; of a run, its maker is not counted on, and a document that large has no room on this disk.",
  ),
  artifact_unknown: entry(
    10,
    404,
    false,
    "No artifact, chunk or name of an artifact is known here by what was said. `psionic artifact list` shows what there is; a digest may be shortened to eight characters where that is clear.",
  ),
  artifact_incomplete: entry(
    14,
    409,
    false,
    "Chunks of the artifact are missing here: a pull has not ended, or damage was set aside. Pull it again; what is there is not fetched twice.",
  ),
  artifact_damaged: entry(
    13,
    422,
    false,
    "A chunk or manifest on this disk is no longer what its digest says. It was set aside under artifacts/damaged and is not given to anybody; pull the artifact again, and check the disk.",
  ),
  artifact_quota: entry(
    14,
    507,
    false,
    "The artifacts of this home would pass their quota. Nothing was fetched or written. Take what is not needed away with `psionic artifact gc`, or raise --quota.",
  ),
  artifact_source_wrong: entry(
    14,
    422,
    false,
    "A file or folder cannot become an artifact: a link or device in it, a name that cannot be carried to another machine, or too many files or bytes.",
  ),
  artifact_unavailable: entry(
    15,
    503,
    true,
    "None of the holders that were named could give what is still missing; the details say what each of them did. What had come is kept, and the next pull goes on from there.",
  ),
  holder_wrong: entry(
    2,
    400,
    false,
    "A holder of artifacts cannot be used as it was named: an address that is none, a token for nobody, or a folder that holds no artifacts.",
  ),
  holder_lied: entry(
    13,
    502,
    false,
    "A holder gave bytes that are not what their digest says. It is asked for nothing more in this pull.",
  ),
  holder_stalled: entry(
    15,
    504,
    true,
    "A holder sent nothing, or too little, within the time it has. Its chunk is asked of another.",
  ),
  holder_failed: entry(
    15,
    502,
    true,
    "A holder could not be reached, broke off, or answered with an error that the message names.",
  ),
  holder_busy: entry(
    15,
    503,
    true,
    "A holder gives blobs to as many as it can at once. A pull asks it for less at a time and goes on; it gives up when the holder stays so for long.",
  ),
  holder_pin_wrong: entry(
    12,
    502,
    false,
    "The certificate of a holder is not the one that was pinned. Either the pin is old or somebody stands between; compare the fingerprint with the holder's owner.",
  ),
} as const satisfies Record<string, CodeEntry>;
