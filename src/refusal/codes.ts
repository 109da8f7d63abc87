/**
 * Every expected failure by its permanent code. A code is never renamed or reused:
 * scripts, receipts and `psionic explain` rely on it.
 *
 * `exit` is the process status, `http` the status of a problem response, `retryable`
 * says whether the same request may succeed later without a change by the caller.
 */
export interface CodeEntry {
  readonly exit: 2 | 3 | 10 | 11 | 12 | 13 | 14 | 15 | 16 | 130;
  readonly http: number;
  readonly retryable: boolean;
  /** What it means and what usually helps, for `psionic explain CODE`. */
  readonly explanation: string;
}

const entry = (
  exit: CodeEntry["exit"],
  http: number,
  retryable: boolean,
  explanation: string,
): CodeEntry => ({ exit, http, retryable, explanation });

export const codes = {
  usage: entry(
    2,
    400,
    false,
    "The words or parameters of the command were not understood. `--help` after the command shows what it takes.",
  ),
  unknown_command: entry(
    2,
    404,
    false,
    "No command of that name exists. `psionic commands` lists them all.",
  ),
  not_authorised: entry(
    12,
    403,
    false,
    "The caller may not use this command. Its access level and the caller's trust decide; an inner call is judged by the original caller.",
  ),
  peer_blocked: entry(
    12,
    403,
    false,
    "The owner of the node blocked this peer. Nothing it presents, a grant included, lifts that; only the owner does, with `psionic trust set`.",
  ),
  trust_full: entry(
    14,
    409,
    false,
    "The node knows as many peers as it can. `psionic trust forget NODE` makes room.",
  ),
  daemon_absent: entry(
    15,
    503,
    true,
    "The command works in a running daemon and none has this home. `psionic up --detach` starts one.",
  ),
  daemon_lost: entry(
    15,
    503,
    true,
    "The daemon ended, or closed the connection, before it had answered. What it acknowledged is on disk: runs go on from their last checkpoint when it is started again with `psionic up`. `psionic logs` and `psionic status` say what happened.",
  ),
  daemon_protocol: entry(
    14,
    502,
    false,
    "The daemon of this home is of another version than the program that called it, and they do not understand each other. `psionic down` and `psionic up --detach` start the version you have.",
  ),
  daemon_busy: entry(
    11,
    503,
    true,
    "The daemon is doing as much at once as it allows itself, and as much is waiting. Try again when something has ended.",
  ),
  daemon_not_ready: entry(
    15,
    503,
    true,
    "The daemon was started but did not answer in time, or ended first. The last lines of its log stand in the message; `psionic logs` shows more.",
  ),
  daemon_not_stopped: entry(
    14,
    503,
    true,
    "The daemon could not be ended, not even by force: the system does not allow it, or its process cannot be told from another. End it as the user who started it.",
  ),
  command_crashed: entry(
    15,
    500,
    true,
    "The process in which the daemon ran the command died. The daemon and everything else go on. If it happens again with the same command, it is a bug or failing hardware; `psionic logs` names the signal.",
  ),
  port_taken: entry(
    11,
    409,
    true,
    "Another program listens on the port. The daemon never takes another one in silence: name a free one with --port, or 0 for any.",
  ),
  host_not_loopback: entry(
    14,
    400,
    false,
    "The daemon's page and commands are served on this machine only, unless --allow-remote is given: whoever reaches the port and has the token owns the node, and the token travels unencrypted. Prefer an SSH tunnel to the loopback address.",
  ),
  input_needed: entry(
    2,
    400,
    false,
    "The command had to ask something and nobody could answer: --no-input was given or there is no terminal. Give the answer as a flag or a file.",
  ),
  configuration_wrong: entry(
    2,
    400,
    false,
    "psionic.toml or a PSIONIC_* variable says something that is not understood. The message names the place; `psionic config show` shows what counts.",
  ),
  home_locked: entry(
    11,
    409,
    true,
    "Another psionic process is changing this home. Wait for it, stop it, or use another home with --home. A killed process never leaves the lock behind.",
  ),
  home_unwritable: entry(
    14,
    412,
    false,
    "The node home cannot be written. Make it writable or choose another with --home or PSIONIC_HOME.",
  ),
  disk_full: entry(
    14,
    507,
    true,
    "No space is left where psionic writes. What was acknowledged before is still there; free some space and run the command again.",
  ),
  disk_read_only: entry(
    14,
    412,
    false,
    "The file system is mounted read-only. Choose a place that can be written.",
  ),
  disk_denied: entry(
    14,
    412,
    false,
    "The system does not let this user read or write that path. Check its owner and permissions.",
  ),
  disk_failed: entry(
    14,
    412,
    true,
    "The system refused a file operation for a reason named in the message.",
  ),
  not_found: entry(10, 404, false, "The named file or thing does not exist."),
  not_a_file: entry(
    14,
    412,
    false,
    "A file was expected where there is a directory, a pipe or a device, or the reverse.",
  ),
  store_corrupt: entry(
    14,
    412,
    false,
    "The node database is damaged. Move node.db away (with its -wal and -shm files) or restore it from a backup; runs/ and artifacts/ hold the checkpoints themselves.",
  ),
  store_newer: entry(
    14,
    412,
    false,
    "The node database was written by a newer psionic. Use that version, or another home.",
  ),
  store_busy: entry(
    11,
    409,
    true,
    "Another process kept the node database busy for too long. Try again.",
  ),
  identity_absent: entry(
    10,
    404,
    false,
    "This home has no node identity yet. `psionic init` makes one.",
  ),
  identity_key_missing: entry(
    14,
    412,
    false,
    "The home holds a node's state but not its key. A new identity is never made in silence: restore the key with `psionic identity restore FILE`, or start a new home.",
  ),
  identity_key_corrupt: entry(
    14,
    412,
    false,
    "The node key cannot be read as an Ed25519 private key. Restore it with `psionic identity restore FILE`.",
  ),
  identity_exists: entry(
    14,
    412,
    false,
    "The home already has another identity. Restore into another home.",
  ),
  backup_wrong: entry(
    13,
    422,
    false,
    "The identity backup is damaged, of an unknown version, or the passphrase is wrong.",
  ),
  machine_unfit: entry(
    14,
    412,
    false,
    "`psionic doctor` found something this machine needs first. Each failing line names its fix.",
  ),
  model_invalid: entry(
    2,
    400,
    false,
    "The sizes of the model do not fit together or are out of bounds. The message names the field.",
  ),
  size_unknown: entry(
    2,
    400,
    false,
    "No model size of that name exists. `psionic plan --help` lists the sizes.",
  ),
  memory_short: entry(
    14,
    412,
    false,
    "The plan needs more memory than this machine offers. Take a smaller size, batch or context, or recompute activations.",
  ),
  model_mismatch: entry(
    14,
    422,
    false,
    "The files of a model directory do not fit the configuration beside them: a tensor is missing, unknown or of another shape.",
  ),
  not_finite: entry(
    14,
    422,
    false,
    "A training step produced a NaN or an infinity and was not taken. The message names the operation or parameter; a lower learning rate or an earlier checkpoint usually helps.",
  ),
  run_not_found: entry(
    10,
    404,
    false,
    "No run has that id, name or prefix. `psionic runs` lists them.",
  ),
  run_ambiguous: entry(
    2,
    400,
    false,
    "More than one run starts with that prefix. Give more characters or the full id.",
  ),
  run_changed: entry(
    14,
    409,
    false,
    "Something the run's manifest pins is no longer what it was: a data file, the tokenizer, the plan or a version. Restore it, or start a new run.",
  ),
  run_name_taken: entry(
    14,
    409,
    false,
    "Another run has that name. Choose another, or go on with it by `psionic train --resume NAME`.",
  ),
  run_finished: entry(
    14,
    409,
    false,
    "The run has completed all its steps. Start a new run, or sample from this one.",
  ),
  run_not_running: entry(
    14,
    409,
    false,
    "Only a run that trains in this node's daemon can be stopped there. `psionic runs` shows the state of each; a run in a terminal is stopped there with Ctrl-C.",
  ),
  training_busy: entry(
    11,
    409,
    true,
    "A node trains one run at a time. Wait for the one the message names, or stop it with `psionic run stop`; it can be gone on with later.",
  ),
  run_unfit: entry(
    14,
    422,
    false,
    "The run cannot do what was asked, for the reason in the message.",
  ),
  trainer_crashed: entry(
    15,
    500,
    true,
    "The trainer process died several times in a row without progress. The last checkpoint is intact; `psionic train --resume RUN` goes on from there.",
  ),
  trainer_protocol: entry(
    15,
    500,
    false,
    "The trainer process and its parent did not understand each other; they are probably of different versions.",
  ),
  checkpoint_missing: entry(
    10,
    404,
    false,
    "No usable checkpoint was found. The details list every one that was tried and why it was passed over.",
  ),
  checkpoint_truncated: entry(
    13,
    422,
    false,
    "A checkpoint file is shorter than its manifest says, or empty: the write was cut off or the file was damaged. An older checkpoint is used where there is one.",
  ),
  checkpoint_corrupt: entry(
    13,
    422,
    false,
    "A checkpoint file does not have the digest its manifest says. The message names the tensor and block that differ.",
  ),
  checkpoint_stale: entry(14, 409, false, "The checkpoint belongs to another run or another plan."),
  replay_differs: entry(
    13,
    422,
    false,
    "Recomputing the run gave other bits than were recorded. The message names the first step that differs.",
  ),
  demo_failed: entry(
    13,
    422,
    false,
    "Something the demonstration shows did not hold on this machine. The message says what; the run is kept, so that it can be looked at.",
  ),
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
  backend_unavailable: entry(
    15,
    503,
    false,
    "The kernel library or its threads could not be started on this machine. `psionic doctor` says what is missing.",
  ),
  lane_unavailable: entry(
    15,
    503,
    false,
    "The processor lacks the instruction set that was asked for. Leave out --isa to use the best it has; the results are the same bits.",
  ),
  out_of_memory: entry(
    15,
    507,
    true,
    "Memory for the model, its optimizer state or a batch could not be had. Choose a smaller size, batch or context; `psionic plan` shows what is needed.",
  ),
  index_out_of_range: entry(
    13,
    422,
    false,
    "A token or position lies outside the model's tables: the data or the tokenizer belongs to another model, or a file was damaged.",
  ),
  manifest_wrong: entry(
    13,
    422,
    false,
    "A runtime manifest has not the shape this version writes.",
  ),
  policy_wrong: entry(
    2,
    400,
    false,
    "The policy is not understood: a field, a signal's declaration, or a rule's expression beyond the rule language. The message names the place; docs/POLICIES.md describes the language.",
  ),
  policy_exists: entry(
    14,
    409,
    false,
    "That revision of the policy is stored with another content, and a stored revision never changes. Give the new content the next revision.",
  ),
  policy_not_found: entry(
    10,
    404,
    false,
    "No policy of exactly that name and revision is stored here. The details list the revisions there are.",
  ),
  policy_damaged: entry(
    13,
    422,
    false,
    "The stored policy is not what this node signed: its text, digest or signature no longer holds. Nothing is decided by it; restore the database, or add the content as a new revision.",
  ),
  policy_denied: entry(
    12,
    403,
    false,
    "The policy decided that the command may not proceed. The details name the rule and its reason; an attestation of the decision was left.",
  ),
  policy_signal_missing: entry(
    14,
    422,
    false,
    "The policy looks at a signal that the request does not have. Nothing is decided on what is missing.",
  ),
  policy_signal_wrong: entry(
    14,
    422,
    false,
    "A signal is unknown to the policy, of another type than it declares, or beyond its bounds.",
  ),
  policy_signal_reserved: entry(
    14,
    422,
    false,
    "The signal is computed by the node itself (the caller, the command, its parameters) and cannot be given by a caller.",
  ),
  policy_test_failed: entry(
    13,
    422,
    false,
    "The policy decided at least one test case otherwise than the case expects. The details list every case.",
  ),
  execution_duplicate: entry(
    14,
    409,
    false,
    "The same request (policy, command, parameters, signals, key, caller) was claimed before and never runs twice, whatever became of it. `psionic attestation show ID` tells what did. To run it again on purpose, give another --key.",
  ),
  execution_not_found: entry(
    10,
    404,
    false,
    "No execution of that id is known here, or it has left no attestation yet. `psionic receipt list --kind execution.attested` lists those that have.",
  ),
  attestation_wrong: entry(
    13,
    422,
    false,
    "The attestation does not hold. The details name the reason: not_json, shape, key_differs, author_unproven, signature_wrong or signals_differ.",
  ),
  interrupted: entry(
    130,
    499,
    true,
    "Ctrl-C or a termination signal stopped the work. Acknowledged state was kept; run the command again to go on.",
  ),
} as const satisfies Record<string, CodeEntry>;

export type RefusalCode = keyof typeof codes;
