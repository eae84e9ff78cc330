// What clickhouse-go, the client of the collector and of Grafana's data source, makes of the store's HTTP interface.
//
// In: host:port, user, password and compression as arguments; queries as a JSON list on standard input. Out: a JSON list,
// of each query the columns' types and the rows as text, or the code and text of its error. `insert` inserts a batch.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

type answer struct {
	Types []string   `json:"types"`
	Rows  [][]string `json:"rows"`
	Code  int32      `json:"code"`
	Error string     `json:"error"`
}

func main() {
	methods := map[string]clickhouse.CompressionMethod{
		"none": clickhouse.CompressionNone, "lz4": clickhouse.CompressionLZ4, "zstd": clickhouse.CompressionZSTD,
		"gzip": clickhouse.CompressionGZIP, "deflate": clickhouse.CompressionDeflate, "br": clickhouse.CompressionBrotli,
	}
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol:    clickhouse.HTTP,
		Addr:        []string{os.Args[1]},
		Auth:        clickhouse.Auth{Database: "default", Username: os.Args[2], Password: os.Args[3]},
		Compression: &clickhouse.Compression{Method: methods[os.Args[4]], Level: 3},
		Settings:    clickhouse.Settings{"max_execution_time": 60},
	})
	if err != nil {
		panic(err)
	}
	var queries []string
	if err := json.NewDecoder(os.Stdin).Decode(&queries); err != nil {
		panic(err)
	}
	answers := []answer{}
	for _, query := range queries {
		answers = append(answers, ask(conn, query))
	}
	_ = json.NewEncoder(os.Stdout).Encode(answers)
}

func ask(conn driver.Conn, query string) answer {
	ctx := clickhouse.Context(context.Background(), clickhouse.WithParameters(clickhouse.Parameters{"text": "it's \"☃\""}))
	if query == "insert" {
		return failed(insert(ctx, conn))
	}
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return failed(err)
	}
	defer rows.Close()
	found := answer{Rows: [][]string{}}
	for _, column := range rows.ColumnTypes() {
		found.Types = append(found.Types, column.DatabaseTypeName())
	}
	for rows.Next() {
		values := make([]any, len(rows.ColumnTypes()))
		for at, column := range rows.ColumnTypes() {
			values[at] = reflect.New(column.ScanType()).Interface()
		}
		if err := rows.Scan(values...); err != nil {
			return failed(err)
		}
		row := []string{}
		for _, value := range values {
			row = append(row, fmt.Sprint(reflect.ValueOf(value).Elem().Interface()))
		}
		found.Rows = append(found.Rows, row)
	}
	if err := rows.Err(); err != nil {
		return failed(err)
	}
	return found
}

// Three blocks, so that more than the first one has to be read.
func insert(ctx context.Context, conn driver.Conn) error {
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO inserted (n, s, tags)")
	if err != nil {
		return err
	}
	defer batch.Close()
	for block := range 3 {
		for n := range 1000 {
			if err := batch.Append(uint64(block*1000+n), fmt.Sprint("☃", n), map[string]string{"k": fmt.Sprint(n)}); err != nil {
				return err
			}
		}
		if block < 2 {
			if err := batch.Flush(); err != nil {
				return err
			}
		}
	}
	return batch.Send()
}

func failed(err error) answer {
	if err == nil {
		return answer{}
	}
	found := answer{Code: -1, Error: err.Error()}
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		found.Code = exception.Code
	}
	return found
}
