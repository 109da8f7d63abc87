import { Layout } from "#src/artifact/layout.ts";
import type { ArtifactParts } from "#src/artifact/parts.ts";
import type { ArtifactService } from "#src/artifact/services.ts";
import { Shelf } from "#src/artifact/shelf.ts";

/** The artifacts of this home; nothing is opened before a command asks. */
export function artifactService(
  parts: Omit<ArtifactParts, "layout"> & {
    readonly directory: string;
    readonly environment: Readonly<Record<string, string | undefined>>;
  },
): ArtifactService {
  let shelf: Shelf | null = null;
  return {
    async open() {
      shelf ??= new Shelf({ ...parts, layout: new Layout(parts.directory) });
      await shelf.ready();
      return shelf;
    },
    async openHolder(from, tokenOf) {
      const { openHolder } = await import("./holders/open-holder.ts");
      return openHolder(from, { disk: parts.disk, environment: parts.environment, tokenOf });
    },
  };
}
