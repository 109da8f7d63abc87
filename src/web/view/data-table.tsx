import { tableRowMaximum, tableRows } from "../chart-model.ts";
import type { Columns } from "../csv.ts";
import { formatCount, missing } from "../format.ts";
import { figures, Table } from "./table.tsx";

interface DataTableProps {
  readonly caption: string;
  readonly columns: Columns;
  /** How places and how figures are written. */
  readonly format: readonly [(value: number) => string, (value: number) => string];
}

/** A chart's figures as a table, newest last. */
export function DataTable({ caption, columns, format }: DataTableProps) {
  const rows = tableRows(columns);
  const count = columns.values[0]?.length ?? 0;
  const [formatPlace, formatFigure] = format;
  const text = (value: number | string | null | undefined, column: number) =>
    typeof value === "number"
      ? (column === 0 ? formatPlace : formatFigure)(value)
      : (value ?? missing);
  const shown =
    count > tableRowMaximum
      ? `${rows.length} of ${formatCount(count)} rows; the CSV has all`
      : `${count} rows`;
  return (
    <Table
      label={`Figures of ${caption}`}
      columns={columns.names.map(figures)}
      isShort
      caption={shown}
    >
      {rows.map((row) => (
        <tr key={row}>
          {columns.values.map((column, index) =>
            index === 0 ? (
              <th key={index} scope="row" class="number">
                {text(column[row], index)}
              </th>
            ) : (
              <td key={index} class="number">
                {text(column[row], index)}
              </td>
            ),
          )}
        </tr>
      ))}
    </Table>
  );
}
