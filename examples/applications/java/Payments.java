import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.security.Security;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Collectors;
import javax.net.ssl.HostnameVerifier;
import javax.net.ssl.SSLSession;
import org.postgresql.ssl.PGjdbcHostnameVerifier;

/**
 * The payments writer with JDBC and HikariCP. docs/applications.md says of each setting what breaks without it.
 */
public class Payments {
    private static final String PAY = "SELECT pay(?, ?, ?, ?)";
    private static final int PAUSE_MS = 50, LONGEST_PAUSE_MS = 500, PAYERS = 2, PAYMENTS_PER_SECOND = 5;

    /** Errors of the caller's (SQLSTATE classes), which no repetition mends. */
    private static final List<String> FINAL = List.of("22", "23", "42");

    /** The certificate carries RDS's names and not ours: that of either cluster will do, and no other. */
    public static class OneOfTheClusters implements HostnameVerifier {
        @Override
        public boolean verify(String host, SSLSession session) {
            return Arrays.stream(clusters()).anyMatch(each -> PGjdbcHostnameVerifier.INSTANCE.verify(each, session));
        }
    }

    private record Payment(UUID key, int account, int cents, Instant madeAt) {}

    private static String[] clusters() {
        return System.getenv("PAYMENTS_HOSTS").split(",");
    }

    private static HikariDataSource pool() {
        boolean byHosts = System.getenv("PAYMENTS_FIND").equals("hosts");
        String[] hosts = byHosts ? clusters() : new String[] {System.getenv("PAYMENTS_NAME")};
        String addresses = Arrays.stream(hosts)
            .map(host -> host + ":" + System.getenv("PAYMENTS_PORT"))
            .collect(Collectors.joining(","));
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl("jdbc:postgresql://" + addresses + "/" + System.getenv("PAYMENTS_DATABASE"));
        config.setUsername(System.getenv("PAYMENTS_USER"));
        config.setMaximumPoolSize(4);
        config.setConnectionTimeout(2000);
        config.setValidationTimeout(1000);
        config.setMaxLifetime(300_000);
        config.setKeepaliveTime(30_000);
        config.setInitializationFailTimeout(-1);
        config.addDataSourceProperty("sslmode", "verify-full");
        config.addDataSourceProperty("sslrootcert", System.getenv("PAYMENTS_CA"));
        config.addDataSourceProperty("sslhostnameverifier", OneOfTheClusters.class.getName());
        config.addDataSourceProperty("targetServerType", "primary");
        config.addDataSourceProperty("hostRecheckSeconds", "2");
        config.addDataSourceProperty("loginTimeout", "5");
        config.addDataSourceProperty("connectTimeout", "2");
        config.addDataSourceProperty("sslResponseTimeout", "2000");
        config.addDataSourceProperty("socketTimeout", "3");
        config.addDataSourceProperty("tcpKeepAlive", "true");
        config.addDataSourceProperty("options", "-c statement_timeout=2000");
        return new HikariDataSource(config);
    }

    private static String pay(HikariDataSource pool, Payment payment) throws SQLException {
        try (Connection connection = pool.getConnection(); var statement = connection.prepareStatement(PAY)) {
            statement.setObject(1, payment.key);
            statement.setLong(2, payment.account);
            statement.setLong(3, payment.cents);
            statement.setTimestamp(4, Timestamp.from(payment.madeAt));
            var rows = statement.executeQuery();
            rows.next();
            return rows.getString(1);
        }
    }

    /** A fenced region refuses a login with 42501: that is nobody's mistake, and over when the writer has moved. */
    private static boolean isFinal(SQLException error) {
        String state = error.getSQLState();
        return state != null && !state.equals("42501") && FINAL.stream().anyMatch(state::startsWith);
    }

    /** A payment is repeated under its key, which was made before the first attempt, until it is answered. */
    private static void answered(HikariDataSource pool, int payer, Payment payment)
            throws InterruptedException, SQLException {
        for (int pause = PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
            try {
                tell(payer, payment, "answer", pay(pool, payment));
                return;
            } catch (SQLException error) {
                if (isFinal(error)) throw error;
                tell(payer, payment, "error", error.getSQLState() + " " + error.getMessage());
                Thread.sleep(ThreadLocalRandom.current().nextInt(pause / 2, pause));
            }
        }
    }

    private static synchronized void tell(int payer, Payment payment, String outcome, String what) {
        System.out.printf(
            "{\"t\": %.3f, \"payer\": %d, \"key\": \"%s\", \"%s\": \"%s\"}%n",
            System.currentTimeMillis() / 1000.0, payer, payment.key, outcome, what.replaceAll("[\"\\\\\\s]+", " "));
    }

    public static void main(String[] arguments) throws Exception {
        Security.setProperty("networkaddress.cache.ttl", "5");
        Security.setProperty("networkaddress.cache.negative.ttl", "1");
        HikariDataSource pool = pool();
        for (int number = 0; number < PAYERS; number++) {
            int payer = number;
            Thread thread = new Thread(() -> {
                var chance = ThreadLocalRandom.current();
                try {
                    while (true) {
                        answered(pool, payer, new Payment(
                            UUID.randomUUID(), chance.nextInt(1, 1000), chance.nextInt(1, 5000), Instant.now()));
                        Thread.sleep(1000 / PAYMENTS_PER_SECOND);
                    }
                } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                } catch (SQLException mistake) {
                    throw new IllegalStateException(mistake);
                }
            });
            thread.setDaemon(true);
            thread.start();
        }
        while (System.in.read() != -1) {}
        System.exit(0);
    }
}
