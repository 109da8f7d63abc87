/**
 * Every command of the program, in the order `--help` shows them under each heading.
 * Importing a file declares its commands; tidy fails on a command file missing here.
 */
// oxlint-disable import/no-unassigned-import -- declaring is what importing a command file does
import "#src/demo/demo.command.ts";
import "./doctor.command.ts";
import "#src/train/train.command.ts";
import "#src/model/plan.command.ts";
import "#src/train/runs.command.ts";
import "#src/train/run-status.command.ts";
import "#src/train/run-start.command.ts";
import "#src/train/run-stop.command.ts";
import "#src/train/run-series.command.ts";
import "#src/train/run-samples.command.ts";
import "#src/train/sample.command.ts";
import "#src/train/chat.command.ts";
import "#src/train/export.command.ts";
import "#src/validate/replay.command.ts";
import "#src/validate/digest.command.ts";
import "./runtime.command.ts";
import "./daemon/up.command.ts";
import "./daemon/status.command.ts";
import "./daemon/logs.command.ts";
import "./daemon/down.command.ts";
import "./daemon/stop.command.ts";
import "./daemon/service-print.command.ts";
import "./config-show.command.ts";
import "./init.command.ts";
import "./identity.command.ts";
import "./identity-keys.command.ts";
import "#src/bench/bench.command.ts";
import "#src/sim/sim.command.ts";
import "#src/grant/trust.command.ts";
import "#src/grant/grant-issue.command.ts";
import "#src/grant/grant-present.command.ts";
import "#src/grant/grant-list.command.ts";
import "#src/grant/grant-revoke.command.ts";
import "#src/surface/peer/call.command.ts";
import "#src/surface/peer/pipe.command.ts";
import "#src/policy/policy.command.ts";
import "#src/policy/execute.command.ts";
import "#src/policy/attestation.command.ts";
import "#src/artifact/artifact-add.command.ts";
import "#src/artifact/artifact-pull.command.ts";
import "#src/artifact/artifact-get.command.ts";
import "#src/artifact/artifact-list.command.ts";
import "#src/artifact/artifact-keep.command.ts";
import "./receipt.command.ts";
import "./receipt-bundle.command.ts";
import "./explain.command.ts";
import "#src/command/list.command.ts";
import "#src/surface/cli/completions.command.ts";
import "./version.command.ts";
