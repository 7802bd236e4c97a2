import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.confluent.connect.avro.AvroConverter;
import io.confluent.kafka.schemaregistry.client.MockSchemaRegistryClient;
import io.confluent.kafka.schemaregistry.client.SchemaRegistryClient;
import io.debezium.embedded.Connect;
import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import java.io.BufferedWriter;
import java.io.FileReader;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.storage.SimpleHeaderConverter;

/**
 * Runs a Debezium connector in this process and writes what a Kafka Connect worker with the Confluent Avro converter
 * would have sent to Kafka.
 *
 * <p>{@code Oracle PROPERTIES OUTPUT}: PROPERTIES is a file of engine properties, OUTPUT gets one JSON object a line:
 *
 * <pre>
 * {"kind":"schema","id":1,"subject":"shop.public.orders-value","version":1,"schema":"…"}      before its first use
 * {"kind":"record","topic":…,"partition":…,"timestamp":…,"key":base64|null,"value":base64|null,
 *  "headers":[[name, base64|null]],"offset":{…}}
 * {"kind":"end","success":true,"message":…}                                                     the engine has stopped
 * </pre>
 *
 * <p>It stops when its standard input ends. Nothing else is read from there.
 */
public final class Oracle {

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Base64.Encoder BASE64 = Base64.getEncoder();

    private final SchemaRegistryClient registry = new MockSchemaRegistryClient();
    private final AvroConverter keys = new AvroConverter(registry);
    private final AvroConverter values = new AvroConverter(registry);
    private final SimpleHeaderConverter headers = new SimpleHeaderConverter();
    private final Set<String> written = new HashSet<>();
    private final PrintWriter out;

    private Oracle(PrintWriter out) {
        this.out = out;
        Map<String, String> settings = Map.of("schema.registry.url", "http://unused");
        keys.configure(settings, true);
        values.configure(settings, false);
        headers.configure(Map.of());
    }

    public static void main(String[] args) throws Exception {
        Properties properties = new Properties();
        try (Reader reader = new FileReader(args[0], StandardCharsets.UTF_8)) {
            properties.load(reader);
        }
        try (BufferedWriter file = Files.newBufferedWriter(Path.of(args[1])); PrintWriter out = new PrintWriter(file)) {
            new Oracle(out).run(properties);
        }
        System.exit(0);
    }

    private void run(Properties properties) throws Exception {
        DebeziumEngine<ChangeEvent<SourceRecord, SourceRecord>> engine =
                DebeziumEngine.create(Connect.class)
                        .using(properties)
                        .using((success, message, error) -> end(success, message, error))
                        .notifying(this::handle)
                        .build();
        ExecutorService executor = Executors.newSingleThreadExecutor();
        executor.execute(engine);
        executor.shutdown();
        awaitEndOfInput();
        engine.close();
        executor.awaitTermination(30, TimeUnit.SECONDS);
    }

    /** Blocks until the other side closes the pipe; bytes sent by it are ignored. */
    private static void awaitEndOfInput() throws IOException {
        while (System.in.read() >= 0) {}
    }

    private void handle(
            List<ChangeEvent<SourceRecord, SourceRecord>> batch,
            DebeziumEngine.RecordCommitter<ChangeEvent<SourceRecord, SourceRecord>> committer)
            throws InterruptedException {
        for (ChangeEvent<SourceRecord, SourceRecord> event : batch) {
            try {
                write(event.value());
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
            committer.markProcessed(event);
        }
        committer.markBatchFinished();
        out.flush();
    }

    private void write(SourceRecord record) throws Exception {
        String topic = record.topic();
        byte[] key = keys.fromConnectData(topic, record.keySchema(), record.key());
        byte[] value = values.fromConnectData(topic, record.valueSchema(), record.value());
        writeNewSchemas();
        ObjectNode line = JSON.createObjectNode();
        line.put("kind", "record");
        line.put("topic", topic);
        line.putPOJO("partition", record.kafkaPartition());
        line.putPOJO("timestamp", record.timestamp());
        line.put("key", text(key));
        line.put("value", text(value));
        ArrayNode pairs = line.putArray("headers");
        for (Header header : record.headers()) {
            byte[] bytes = headers.fromConnectHeader(topic, header.key(), header.schema(), header.value());
            pairs.addArray().add(header.key()).add(text(bytes));
        }
        line.putPOJO("offset", record.sourceOffset());
        out.println(JSON.writeValueAsString(line));
    }

    private void writeNewSchemas() throws Exception {
        for (String subject : registry.getAllSubjects()) {
            for (Integer version : registry.getAllVersions(subject)) {
                if (written.add(subject + ":" + version)) {
                    var metadata = registry.getSchemaMetadata(subject, version);
                    ObjectNode line = JSON.createObjectNode();
                    line.put("kind", "schema");
                    line.put("id", metadata.getId());
                    line.put("subject", subject);
                    line.put("version", version);
                    line.put("schema", metadata.getSchema());
                    out.println(JSON.writeValueAsString(line));
                }
            }
        }
    }

    private synchronized void end(boolean success, String message, Throwable error) {
        ObjectNode line = JSON.createObjectNode();
        line.put("kind", "end");
        line.put("success", success);
        line.put("message", message + (error == null ? "" : ": " + error));
        out.println(line);
        out.flush();
        if (!success) {
            Runtime.getRuntime().halt(1);
        }
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : BASE64.encodeToString(bytes);
    }
}
