import type { TrustRegistry } from "./trust-registry.ts";

declare module "#src/command/define.ts" {
  interface Services {
    /** Whom this node trusts how far. */
    readonly trust: TrustRegistry;
  }
}
