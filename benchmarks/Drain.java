import io.confluent.connect.avro.AvroConverter;
import io.confluent.kafka.schemaregistry.client.MockSchemaRegistryClient;
import io.confluent.kafka.schemaregistry.client.SchemaRegistryClient;
import io.debezium.embedded.Connect;
import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import java.io.FileReader;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.connect.source.SourceRecord;

/**
 * Drains a Debezium connector: every event becomes Avro by the Confluent converter, is counted, and dropped.
 *
 * <p>{@code Drain PROPERTIES TOPIC RECORDS [SERVERS]}: with SERVERS, records of the topic are sent to Kafka. PROPERTIES is a file of engine properties. Ends by itself once that many
 * records of the topic went through; records of other topics (heartbeats, messages) are converted and not counted.
 * Prints one line, times in milliseconds since 1970:
 *
 * <pre>
 * drained RECORDS BYTES FIRST LAST      FIRST: the first batch was handed over; LAST: the last record is converted
 * </pre>
 */
public final class Drain {

    private final SchemaRegistryClient registry = new MockSchemaRegistryClient();
    private final AvroConverter keys = new AvroConverter(registry);
    private final AvroConverter values = new AvroConverter(registry);
    private final CountDownLatch ended = new CountDownLatch(1);
    private final String counted;
    private final long expected;
    private long records;
    private long bytes;
    private long first;
    private long last;
    private String failure;
    private KafkaProducer<byte[], byte[]> producer;

    private Drain(String topic, long expected) {
        this.counted = topic;
        this.expected = expected;
        Map<String, String> settings = Map.of("schema.registry.url", "http://unused");
        keys.configure(settings, true);
        values.configure(settings, false);
    }

    public static void main(String[] args) throws Exception {
        Properties properties = new Properties();
        try (Reader reader = new FileReader(args[0], StandardCharsets.UTF_8)) {
            properties.load(reader);
        }
        Drain drain = new Drain(args[1], Long.parseLong(args[2]));
        if (args.length > 3) {
            drain.produceInto(args[3]);
        }
        System.exit(drain.run(properties));
    }

    /** Send what is counted to a broker instead of dropping it. */
    private void produceInto(String servers) {
        producer = new KafkaProducer<>(
                Map.of("bootstrap.servers", servers, "acks", "all", "compression.type", "lz4", "linger.ms", "5"),
                new ByteArraySerializer(), new ByteArraySerializer());
    }

    private int run(Properties properties) throws Exception {
        DebeziumEngine<ChangeEvent<SourceRecord, SourceRecord>> engine =
                DebeziumEngine.create(Connect.class)
                        .using(properties)
                        .using((success, message, error) -> end(success, message, error))
                        .notifying(this::handle)
                        .build();
        ExecutorService executor = Executors.newSingleThreadExecutor();
        executor.execute(engine);
        executor.shutdown();
        ended.await();
        if (failure != null) {
            System.out.println(failure);
            return 1;
        }
        engine.close();
        executor.awaitTermination(30, TimeUnit.SECONDS);
        System.out.println("drained " + records + " " + bytes + " " + first + " " + last);
        return 0;
    }

    private void handle(
            List<ChangeEvent<SourceRecord, SourceRecord>> batch,
            DebeziumEngine.RecordCommitter<ChangeEvent<SourceRecord, SourceRecord>> committer)
            throws InterruptedException {
        if (first == 0) {
            first = System.currentTimeMillis();
        }
        for (ChangeEvent<SourceRecord, SourceRecord> event : batch) {
            SourceRecord record = event.value();
            String topic = record.topic();
            byte[] key = keys.fromConnectData(topic, record.keySchema(), record.key());
            byte[] value = values.fromConnectData(topic, record.valueSchema(), record.value());
            bytes += length(key) + length(value);
            if (producer != null && topic.equals(counted)) {
                producer.send(new ProducerRecord<>(topic, key, value));
            }
            records += topic.equals(counted) ? 1 : 0;
            committer.markProcessed(event);
        }
        if (producer != null) {
            producer.flush();
        }
        committer.markBatchFinished();
        if (records >= expected && ended.getCount() > 0) {
            last = System.currentTimeMillis();
            ended.countDown();
        }
    }

    private void end(boolean success, String message, Throwable error) {
        if (ended.getCount() > 0) {
            failure = "ended early: " + message + (error == null ? "" : ": " + error);
            ended.countDown();
        }
    }

    private static int length(byte[] bytes) {
        return bytes == null ? 0 : bytes.length;
    }
}
