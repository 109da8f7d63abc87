import { ListingPanel } from "./listing-panel.tsx";

/** Who may do what here: grants, trust and policies. Authority is handed out at a terminal only. */
export function AccessView() {
  return (
    <>
      <h1>Access</h1>
      <p class="muted">
        To look at. Authority is handed out at a terminal of this machine, never through a browser.
      </p>
      <ListingPanel title="Grants" command="grant/list" topic="grant.">
        No grants. <code>psionic grant issue</code> lets another node call a command here.
      </ListingPanel>
      <ListingPanel title="Trust" command="trust/list" topic="trust.">
        No node is registered: strangers may only call what is safe. <code>psionic trust set</code>{" "}
        registers one.
      </ListingPanel>
      <ListingPanel title="Policies" command="policy/list" topic="policy.">
        No policies. <code>psionic policy add</code> adds rules that executions are attested by.
      </ListingPanel>
    </>
  );
}
