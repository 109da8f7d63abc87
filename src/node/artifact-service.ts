import { Layout } from "#src/artifact/layout.ts";
import type { ArtifactParts } from "#src/artifact/parts.ts";
import type { ArtifactService, MeshResidency } from "#src/artifact/services.ts";
import { Shelf } from "#src/artifact/shelf.ts";
import type { FindSocket } from "#src/surface/peer/services.ts";

/** The artifacts of this home; nothing is opened before a command asks. */
export function artifactService(
  parts: Omit<ArtifactParts, "layout"> & {
    readonly directory: string;
    readonly environment: Readonly<Record<string, string | undefined>>;
    readonly findSocket: FindSocket;
  },
): ArtifactService {
  let shelf: Shelf | null = null;
  // The mesh is the daemon's, whichever process of the home asks: the daemon itself asks the same way.
  const residency: ArtifactService["residency"] = async (artifact, signal) => {
    const socket = await parts.findSocket();
    if (socket === null) return null;
    const { callDaemon } = await import("#src/surface/socket/client.ts");
    const parameters = artifact === null ? {} : { artifact };
    const call = { signal, emit() {} };
    return (await callDaemon(socket, "cluster/residency", parameters, call)) as MeshResidency;
  };
  return {
    residency,
    async openMembers(artifact, signal) {
      const known = await residency(artifact, signal);
      if (known === null) return [];
      const { openMembers } = await import("./holders/open-members.ts");
      const { author } = await parts.receipts.open();
      return openMembers(known, artifact, { identity: author, clock: parts.clock });
    },
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
