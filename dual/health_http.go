package dual

import (
	"context"
	"encoding/json"
	"net/http"
)

// LiveHandler serves Live: 200 where the process is live, else 503, with the report as JSON.
func (h *Health) LiveHandler() http.Handler { return serveHealth(h.Live) }

// ReadyHandler serves Ready: 200 where the process is ready, else 503, with the report as JSON.
func (h *Health) ReadyHandler() http.Handler { return serveHealth(h.Ready) }

func serveHealth(probe func(context.Context) HealthReport) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "use GET", http.StatusMethodNotAllowed)
			return
		}
		report := probe(r.Context())
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !report.OK {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(report) // a client that left needs no answer
	})
}
