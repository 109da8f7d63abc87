import { ListingPanel } from "./listing-panel.tsx";

/** Who may do what here: grants, trust and policies. Authority is handed out at a terminal only. */
export function AccessView() {
  return (
    <>
      <h1>Access</h1>
      <p class="muted">
        To look at. Authority is handed out at a terminal of this machine, never through a browser.
      </p>
      <ListingPanel
        title="Grants issued here"
        {...{ command: "grant/list", member: "issued", topic: "grant." }}
        columns={[
          ...["grant.id", "standing", "grant.grantee", "grant.capabilities"],
          ...["grant.expiresMs", "use.calls", "use.lastUsedMs", "grant.epoch"],
        ]}
      >
        None. <code>psionic grant issue</code> lets another node call a command here.
      </ListingPanel>
      <ListingPanel
        title="Grants held"
        {...{ command: "grant/list", member: "held", topic: "grant." }}
        columns={["grant.id", "isLive", "grant.issuer", "grant.capabilities", "grant.expiresMs"]}
      >
        None. <code>psionic grant present</code> takes up one that another node issued to this one.
      </ListingPanel>
      <ListingPanel
        title="Trust"
        {...{ command: "trust/list", member: "peers", topic: "trust." }}
        columns={["nodeId", "tier", "note"]}
      >
        No node was entered: every caller from outside is provisional.{" "}
        <code>psionic trust set</code> enters one.
      </ListingPanel>
      <ListingPanel
        title="Policies"
        {...{ command: "policy/list", member: "policies", topic: "policy." }}
        columns={["reference", "summary", "holds", "digest", "addedMs"]}
      >
        None. <code>psionic policy add</code> adds rules that executions are attested by.
      </ListingPanel>
      <ListingPanel
        title="Executions under a policy"
        {...{ command: "attestation/list", member: "executions", topic: "policy." }}
        columns={["execution", "state", "policy", "command", "caller", "claimedMs"]}
      >
        None. <code>psionic execute --policy NAME@REVISION</code> runs a command under one.
      </ListingPanel>
    </>
  );
}
