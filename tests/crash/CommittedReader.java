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
 * Prints the committed records of one partition as Kafka's own consumer reads them: offset, key, value; these in base64
 * behind an equals sign, or a dash for null. Arguments: servers, topic, partition.
 */
public final class CommittedReader {
    public static void main(String[] arguments) {
        Map<String, Object> settings = Map.of(
                "bootstrap.servers", arguments[0], "isolation.level", "read_committed", "enable.auto.commit", false,
                "key.deserializer", ByteArrayDeserializer.class, "value.deserializer", ByteArrayDeserializer.class);
        TopicPartition place = new TopicPartition(arguments[1], Integer.parseInt(arguments[2]));
        StringBuilder told = new StringBuilder();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            consumer.assign(List.of(place));
            consumer.seekToBeginning(List.of(place));
            long end = consumer.endOffsets(List.of(place)).get(place);
            while (consumer.position(place) < end) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    told.append(record.offset()).append(' ').append(text(record.key())).append(' ');
                    told.append(text(record.value())).append('\n');
                }
            }
        }
        new PrintStream(System.out, false).append(told).flush();
    }

    private static String text(byte[] octets) {
        return octets == null ? "-" : "=" + Base64.getEncoder().encodeToString(octets);
    }
}
