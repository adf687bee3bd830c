package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/dualstream/dualstream/durable"
)

// row is one partition of a topic, with what one group has left of it.
type row struct {
	Topic     string           `json:"topic"`
	Partition int              `json:"partition"`
	Records   int64            `json:"records"`
	Oldest    durable.Position `json:"oldest"`
	Newest    durable.Position `json:"newest"`
	Group     string           `json:"group,omitempty"`
	Position  durable.Position `json:"position,omitempty"` // the last that the group was given or has committed
	Lag       int64            `json:"lag"`                // -1 where it is unknown or there is no group
	Pending   int64            `json:"pending"`            // delivered and not acknowledged, where the backend knows
	Age       float64          `json:"oldest_pending_seconds"`
	Members   []member         `json:"members,omitempty"` // who holds what is pending, where the backend knows
}

type member struct {
	Name    string `json:"name"`
	Pending int64  `json:"pending"`
}

// inspect asks b for every partition of the topics, once for each of the groups. Without groups it is those that have
// consumed the topic, where the backend names them.
func inspect(ctx context.Context, b durable.Backend, topics, groups []string) ([]row, error) {
	name := b.Capabilities().Backend
	admin, ok := b.(durable.Administrator)
	if !ok {
		return nil, fmt.Errorf("%s does not describe topics: %w", name, durable.ErrUnsupported)
	}
	reporter, ok := b.(durable.LagReporter)
	if !ok && len(groups) > 0 {
		return nil, fmt.Errorf("%s does not tell the lag of groups: %w", name, durable.ErrUnsupported)
	}
	var rows []row
	for _, topic := range topics {
		info, err := admin.DescribeTopic(ctx, topic)
		if err != nil {
			return nil, err
		}
		named := groups
		if len(groups) == 0 && reporter != nil {
			if named, err = groupsOf(ctx, b, topic); err != nil {
				return nil, err
			}
		}
		if len(named) == 0 {
			rows = append(rows, partitions(info, "", nil)...)
		}
		for _, group := range named {
			lags, err := reporter.Lag(ctx, group, topic)
			if err != nil && !errors.Is(err, durable.ErrInvalid) { // invalid: it has not consumed this topic
				return nil, err
			}
			rows = append(rows, partitions(info, group, lags)...)
		}
	}
	return rows, nil
}

// groupsOf is the groups that have consumed topic, none where b does not name them.
func groupsOf(ctx context.Context, b durable.Backend, topic string) ([]string, error) {
	admin, ok := b.(durable.GroupAdministrator)
	if !ok {
		return nil, nil
	}
	names, err := admin.Groups(ctx, topic)
	if errors.Is(err, durable.ErrUnsupported) { // of a backend inside
		return nil, nil
	}
	return names, err
}

// partitions are the rows of one topic and one group.
func partitions(info durable.TopicInfo, group string, lags []durable.PartitionLag) []row {
	rows := make([]row, len(info.Partitions))
	for i, p := range info.Partitions {
		rows[i] = row{
			Topic: info.Name, Partition: p.Partition, Records: p.Records, Oldest: p.Oldest, Newest: p.Newest, Group: group, Lag: -1,
		}
		for _, l := range lags {
			if l.Partition != p.Partition {
				continue
			}
			rows[i].Position, rows[i].Lag, rows[i].Pending, rows[i].Age = l.Position, l.Lag, l.Pending, l.OldestPending.Seconds()
			for _, m := range l.Members {
				rows[i].Members = append(rows[i].Members, member{m.Member, m.Pending})
			}
		}
	}
	return rows
}

func table(out io.Writer, rows []row) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tPARTITION\tRECORDS\tOLDEST\tNEWEST\tGROUP\tPOSITION\tLAG\tPENDING\tOLDEST PENDING\tMEMBERS")
	for _, r := range rows {
		lag := strconv.FormatInt(r.Lag, 10)
		if r.Lag < 0 {
			lag = "-"
		}
		var members []string
		for _, m := range r.Members {
			if m.Pending == 0 { // it owns the partition
				members = append(members, m.Name)
				continue
			}
			members = append(members, fmt.Sprintf("%s:%d", m.Name, m.Pending))
		}
		age := ""
		if r.Age > 0 {
			age = fmt.Sprintf("%.1f s", r.Age)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", r.Topic, r.Partition, r.Records,
			some(string(r.Oldest)), some(string(r.Newest)), some(r.Group), some(string(r.Position)), lag, r.Pending, some(age), some(strings.Join(members, " ")))
	}
	return w.Flush()
}

// some is text, or a dash for none.
func some(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
