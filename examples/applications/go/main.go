// The payments writer with pgx and its pool. docs/applications.md says of each setting what breaks without it.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	pay               = "SELECT pay($1, $2, $3, $4)"
	shortestPause     = 50 * time.Millisecond
	longestPause      = 500 * time.Millisecond
	acquireTimeout    = 5 * time.Second
	attemptTimeout    = 3 * time.Second
	payers            = 2
	paymentsPerSecond = 5
)

// Errors of the caller's (SQLSTATE classes), which no repetition mends.
var final = []string{"22", "23", "42"}

type payment struct {
	key            uuid.UUID
	account, cents int64
	madeAt         time.Time
}

func clusters() []string { return strings.Split(os.Getenv("PAYMENTS_HOSTS"), ",") }

func newPool(ctx context.Context) (*pgxpool.Pool, error) {
	byHosts := os.Getenv("PAYMENTS_FIND") == "hosts"
	hosts := os.Getenv("PAYMENTS_NAME")
	if byHosts {
		hosts = os.Getenv("PAYMENTS_HOSTS")
	}
	config, err := pgxpool.ParseConfig(strings.Join([]string{
		"host=" + hosts,
		"port=" + os.Getenv("PAYMENTS_PORT"),
		"dbname=" + os.Getenv("PAYMENTS_DATABASE"),
		"user=" + os.Getenv("PAYMENTS_USER"),
		"sslmode=verify-full",
		"sslrootcert=" + os.Getenv("PAYMENTS_CA"),
		"target_session_attrs=read-write",
		"connect_timeout=2",
		"statement_timeout=2000",
		"pool_max_conns=4",
		"pool_max_conn_lifetime=5m",
		"pool_ping_timeout=1s",
	}, " "))
	if err != nil {
		return nil, err
	}
	if byHosts {
		config.BeforeConnect = eitherFirst
	} else {
		config.ConnConfig.TLSConfig = verifyEitherCluster(config.ConnConfig.TLSConfig)
		config.ConnConfig.Fallbacks = nil
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// pgx goes no further than to a host that refuses the login for want of the right to connect, as a fenced one does.
func eitherFirst(_ context.Context, config *pgx.ConnConfig) error {
	if len(config.Fallbacks) == 1 && rand.IntN(2) == 0 {
		other := config.Fallbacks[0]
		config.Fallbacks = []*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}}
		config.Host, config.Port, config.TLSConfig = other.Host, other.Port, other.TLSConfig
	}
	return nil
}

// The certificate carries RDS's names and not ours: that of either cluster will do, and no other. Go's own check of the
// name is switched off for it, and its check of the chain is done here as well.
func verifyEitherCluster(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the server shows no certificate")
		}
		options := x509.VerifyOptions{Roots: config.RootCAs, Intermediates: x509.NewCertPool()}
		for _, each := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(each)
		}
		var err error
		for _, options.DNSName = range clusters() {
			if _, err = state.PeerCertificates[0].Verify(options); err == nil {
				return nil
			}
		}
		return err
	}
	return config
}

// A fenced region refuses a login with 42501: that is nobody's mistake, and over when the writer has moved.
func isFinal(err error) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && said.Code != "42501" &&
		slices.ContainsFunc(final, func(class string) bool { return strings.HasPrefix(said.Code, class) })
}

// After a failure that may be repeated no session of the pool is trusted any more.
func attempt(ctx context.Context, pool *pgxpool.Pool, order payment) (answer string, err error) {
	defer func() {
		if err != nil && !isFinal(err) {
			pool.Reset()
		}
	}()
	acquiring, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	connection, err := pool.Acquire(acquiring)
	if err != nil {
		return "", err
	}
	defer connection.Release()
	within, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	err = connection.QueryRow(within, pay, order.key, order.account, order.cents, order.madeAt).Scan(&answer)
	return answer, err
}

// A payment is repeated under its key, which was made before the first attempt, until it is answered.
func answered(ctx context.Context, pool *pgxpool.Pool, payer int, order payment) error {
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		answer, err := attempt(ctx, pool, order)
		if err == nil {
			tell(payer, order, "answer", answer)
			return nil
		}
		if isFinal(err) {
			return err
		}
		tell(payer, order, "error", err.Error())
		time.Sleep(pause/2 + rand.N(pause/2))
	}
}

func tell(payer int, order payment, outcome, what string) {
	line, err := json.Marshal(map[string]any{
		"t": float64(time.Now().UnixMilli()) / 1000, "payer": payer, "key": order.key.String(), outcome: what,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

func main() {
	ctx := context.Background()
	pool, err := newPool(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for payer := range payers {
		go func() {
			for {
				order := payment{uuid.New(), 1 + rand.Int64N(1000), 1 + rand.Int64N(5000), time.Now()}
				if err := answered(ctx, pool, payer, order); err != nil {
					log.Fatal(err)
				}
				time.Sleep(time.Second / paymentsPerSecond)
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}
