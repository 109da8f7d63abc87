import type { ComponentChildren } from "preact";

/** What stands over a column: its name, or its name and that figures stand in it, to the right. */
export type Column = string | { readonly figures: string };

export const figures = (name: string): Column => ({ figures: name });

interface TableProps {
  /** What it lists, for those who hear the page. */
  readonly label: string;
  readonly columns: readonly Column[];
  /** No higher than a few rows; more are scrolled to. */
  readonly isShort?: boolean;
  readonly caption?: string;
  /** The rows. */
  readonly children: ComponentChildren;
}

/** A table that is scrolled in its own frame, also by keyboard, so that the page is never too wide. */
export function Table({ label, columns, isShort = false, caption, children }: TableProps) {
  return (
    <div class={`scroll${isShort ? " short" : ""}`} role="region" tabIndex={0} aria-label={label}>
      <table>
        {caption !== undefined && <caption>{caption}</caption>}
        <thead>
          <tr>
            {columns.map((column) =>
              typeof column === "string" ? (
                <th key={column} scope="col">
                  {column}
                </th>
              ) : (
                <th key={column.figures} scope="col" class="number">
                  {column.figures}
                </th>
              ),
            )}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
