import type { Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { RunService } from "#src/window/services.ts";

/** The runs of the mesh in this daemon. Refused with `daemon_absent` where there is none. */
export function meshRunsOf({ meshRuns, home }: Pick<Services, "meshRuns" | "home">): RunService {
  if (meshRuns !== null) return meshRuns;
  throw new Refusal(
    "daemon_absent",
    "a node works on the runs of its mesh while its daemon runs, and none has this home",
    "`psionic up --detach` starts one",
    { home: home.root },
  );
}
