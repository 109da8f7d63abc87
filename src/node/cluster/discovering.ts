import { getLogger } from "@logtape/logtape";
import type { Services } from "#src/command/define.ts";
import type { SeenNodes } from "#src/cluster/services.ts";
import type { Discovery } from "#src/surface/peer/discovery.ts";
import type { OpenLinks } from "#src/surface/peer/links.ts";

const log = getLogger(["psionic", "cluster"]);

const anyAddress = "0.0.0.0";

/** Discovery in a daemon: on one interface, for whichever mesh the node is in. */
export class Discovering {
  private constructor(
    private readonly discovery: Discovery,
    private readonly listeners: (() => void)[],
  ) {}

  /** Refusals: `interface_unknown`, `address_unavailable`. */
  static async open(
    { clock, random, receipts }: Services,
    interfaceName: string,
    node: {
      mesh(): string;
      /** Where other nodes are answered; null for nowhere. */
      readonly door: { readonly host: string; readonly port: number } | null;
    },
  ): Promise<Discovering> {
    const { openDiscovery } = await import("#src/surface/peer/discovery.ts");
    const { door } = node;
    const listeners: (() => void)[] = [];
    const isDoorOn = (address: string) => door?.host === address || door?.host === anyAddress;
    const discovery: Discovery = await openDiscovery({
      ...{ interfaceName, clock, random },
      signer: () => receipts.opened().author,
      mesh: () => node.mesh(),
      port: (address) => (isDoorOn(address) ? door!.port : null),
      onSeen: () => listeners[0]?.(),
    });
    const { address } = discovery;
    log.info("discovery asks on {interfaceName} ({address})", { interfaceName, address });
    if (!isDoorOn(address))
      log.warning("others can see this node on {interfaceName} and not dial it there", {
        interfaceName,
        hint: `start it with --peer-host ${address} or --peer-host ${anyAddress}`,
      });
    return new Discovering(discovery, listeners);
  }

  /** Links that dial what is found too; of those opened before nothing is told any more. */
  async guide(links: OpenLinks): Promise<OpenLinks> {
    const { findingLinks } = await import("#src/surface/peer/found-places.ts");
    const finding = findingLinks(links, this.discovery);
    this.listeners[0] = () => finding.heard();
    return finding;
  }

  seen(): SeenNodes {
    return { interfaceName: this.discovery.interfaceName, nodes: this.discovery.seen() };
  }

  stop(): Promise<void> {
    return this.discovery.stop();
  }
}
