import type { Journal } from "#src/command/journal.ts";
import type { ReceiptService } from "#src/command/services.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Disk } from "#src/port/disk.ts";
import type { Random } from "#src/port/random.ts";
import type { Store } from "#src/port/store.ts";
import type { Layout } from "./layout.ts";

/** What the room works with; the node composes it. */
export interface ArtifactParts {
  readonly layout: Layout;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly receipts: Pick<ReceiptService, "open">;
  store(): Store;
  journal(): Journal;
}
