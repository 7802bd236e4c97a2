import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.confluent.kafka.schemaregistry.avro.AvroSchema;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/** Says whether a Confluent registry would let a schema read another's data: a pair a line in, 1 or 0 a line out. */
public final class CompatibilityJudge {
    public static void main(String[] arguments) throws Exception {
        ObjectMapper json = new ObjectMapper();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            JsonNode pair = json.readTree(line);
            AvroSchema reader = new AvroSchema(pair.get("reader").toString());
            AvroSchema writer = new AvroSchema(pair.get("writer").toString());
            System.out.println(reader.isBackwardCompatible(writer).isEmpty() ? "1" : "0");
        }
    }
}
