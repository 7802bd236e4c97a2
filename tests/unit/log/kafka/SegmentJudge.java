import java.io.File;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.FileRecords;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.utils.Utils;

/** Reads and writes segment files with Kafka's own code; one record a line, fields in base64, "-" for null. */
public final class SegmentJudge {
    public static void main(String[] arguments) throws Exception {
        for (int number = 1; number < arguments.length; number++) {
            switch (arguments[0]) {
                case "read" -> read(new File(arguments[number]));
                case "write" -> write(Path.of(arguments[number]));
                default -> throw new IllegalArgumentException(arguments[0]);
            }
        }
    }

    private static void read(File file) throws Exception {
        try (FileRecords records = FileRecords.open(file, false)) {
            for (RecordBatch batch : records.batches()) {
                batch.ensureValid();
                System.out.printf(
                        "batch %d %d %d %s%n",
                        batch.baseOffset(), batch.lastOffset(), batch.maxTimestamp(),
                        batch.deleteHorizonMs().isPresent() ? batch.deleteHorizonMs().getAsLong() : "-");
                for (Record record : batch) {
                    record.ensureValid();
                    StringBuilder line = new StringBuilder("record ");
                    line.append(record.offset()).append(' ').append(record.timestamp());
                    line.append(' ').append(text(record.key())).append(' ').append(text(record.value()));
                    line.append(' ').append(record.key() == null ? "-" : Utils.murmur2(Utils.toArray(record.key())));
                    for (Header header : record.headers()) {
                        byte[] name = header.key().getBytes(StandardCharsets.UTF_8);
                        byte[] value = header.value();
                        line.append(' ').append(text(ByteBuffer.wrap(name)));
                        line.append(' ').append(text(value == null ? null : ByteBuffer.wrap(value)));
                    }
                    System.out.println(line);
                }
            }
        }
    }

    private static String text(ByteBuffer bytes) {
        return bytes == null ? "-" : "=" + Base64.getEncoder().encodeToString(Utils.toArray(bytes));
    }

    /** A batch of every compression but snappy, one behind the other. */
    private static void write(Path path) throws Exception {
        ByteBuffer all = ByteBuffer.allocate(1 << 20);
        long offset = 0;
        for (CompressionType type : CompressionType.values()) {
            if (type == CompressionType.SNAPPY) {
                continue;
            }
            SimpleRecord[] records = new SimpleRecord[200];
            for (int number = 0; number < records.length; number++) {
                byte[] key = number % 7 == 0 ? null : ("key-" + number).getBytes(StandardCharsets.UTF_8);
                byte[] value = number % 5 == 0 ? null : (type.name + "-" + "x".repeat(number)).getBytes(StandardCharsets.UTF_8);
                Header[] headers = {new RecordHeader("h", value), new RecordHeader("type", type.name.getBytes(StandardCharsets.UTF_8))};
                records[number] = new SimpleRecord(1_700_000_000_000L - 3 * number, key, value, headers);
            }
            MemoryRecords batch = MemoryRecords.withRecords(
                    RecordBatch.MAGIC_VALUE_V2, offset, Compression.of(type).build(), TimestampType.CREATE_TIME, records);
            // a partition leader of ours has epoch 0
            ByteBuffer bytes = batch.buffer().duplicate();
            bytes.putInt(12, 0);
            all.put(bytes);
            offset += records.length;
        }
        all.flip();
        byte[] octets = new byte[all.remaining()];
        all.get(octets);
        Files.write(path, octets);
    }
}
