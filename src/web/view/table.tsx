import type { ComponentChildren } from "preact";

/** What stands over a column: its name, or its name and that figures stand in it, to the right. */
export type Column = string | { readonly figures: string };

export const figures = (name: string): Column => ({ figures: name });

/** A table of more rows is scrolled where a view has more than one. */
export const rowsSeen = 15;

interface TableProps {
  /** What it lists, for those who hear the page. */
  readonly label: string;
  readonly columns: readonly Column[];
  /** No higher than a few rows; more are scrolled to. */
  readonly isShort?: boolean;
  /** Wider than most windows: the first column stays in sight. */
  readonly isWide?: boolean;
  readonly caption?: string;
  /** The rows. */
  readonly children: ComponentChildren;
}

/** A table that is scrolled in its own frame, also by keyboard, so that the page is never too wide. */
export function Table(props: TableProps) {
  const { label, columns, isShort = false, isWide = false, caption, children } = props;
  const kinds = `${isShort ? " short" : ""}${isWide ? " wide-table" : ""}`;
  return (
    <div class={`scroll${kinds}`} role="region" tabIndex={0} aria-label={label}>
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
