import java.io.PrintStream;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Prints the committed records of partitions as Kafka's own consumer reads them: topic, partition, offset, key, value;
 * these in base64 behind an equals sign, or a dash for null. Arguments: servers, then topics with a partition each.
 */
public final class CommittedReader {
    public static void main(String[] arguments) {
        Map<String, Object> settings = Map.of(
                "bootstrap.servers", arguments[0], "isolation.level", "read_committed", "enable.auto.commit", false,
                "key.deserializer", ByteArrayDeserializer.class, "value.deserializer", ByteArrayDeserializer.class);
        PrintStream told = new PrintStream(System.out, false);
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            for (int at = 1; at < arguments.length; at += 2) {
                read(consumer, new TopicPartition(arguments[at], Integer.parseInt(arguments[at + 1])), told);
            }
        }
        told.flush();
    }

    private static void read(KafkaConsumer<byte[], byte[]> consumer, TopicPartition place, PrintStream told) {
        StringBuilder lines = new StringBuilder();
        consumer.assign(List.of(place));
        consumer.seekToBeginning(List.of(place));
        long end = consumer.endOffsets(List.of(place)).get(place);
        while (consumer.position(place) < end) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                lines.append(place.topic()).append(' ').append(place.partition()).append(' ');
                lines.append(record.offset()).append(' ').append(text(record.key())).append(' ');
                lines.append(text(record.value())).append('\n');
            }
        }
        told.print(lines);
    }

    private static String text(byte[] octets) {
        return octets == null ? "-" : "=" + Base64.getEncoder().encodeToString(octets);
    }
}
