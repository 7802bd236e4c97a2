import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;

/**
 * Where Java's producer puts a key: {@code PartitionJudge PARTITIONS…}; on stdin one key a line in base64, on stdout its
 * partition in topics of so many.
 */
public final class PartitionJudge {
    public static void main(String[] arguments) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        StringBuilder answers = new StringBuilder();
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            byte[] key = Base64.getDecoder().decode(line);
            for (String partitions : arguments) {
                answers.append(BuiltInPartitioner.partitionForKey(key, Integer.parseInt(partitions))).append(' ');
            }
            answers.append('\n');
        }
        System.out.print(answers);
    }
}
