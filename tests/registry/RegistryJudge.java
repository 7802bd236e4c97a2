import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.confluent.connect.avro.AvroConverter;
import io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import io.confluent.kafka.schemaregistry.avro.AvroSchema;
import io.confluent.kafka.serializers.KafkaAvroDeserializer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Struct;

/**
 * What Confluent's Avro deserializer and Connect's AvroConverter make of records, by the registry at a URL.
 *
 * <p>{@code RegistryJudge URL [TOKEN]}; on stdin one record a line, {"topic":…,"key":true|false,"data":base64}, on
 * stdout one answer a line, {"avro":…,"connect":…,"schema":name,"known":id}. Values that JSON cannot tell apart are
 * marked: bytes as {"bytes":base64}, float and double as {"bits":n}, decimals as {"decimal":text}. "known" is the id
 * under which the registry finds the schema again as Java writes it. Connect has no decimal that is not a number: where
 * one comes, "refused" stands for what it would be.
 */
public final class RegistryJudge {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Base64.Encoder BASE64 = Base64.getEncoder();

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = new HashMap<>(Map.of("schema.registry.url", arguments[0]));
        if (arguments.length > 1) {
            settings.put("basic.auth.credentials.source", "USER_INFO");
            settings.put("basic.auth.user.info", "judge:" + arguments[1]);
        }
        CachedSchemaRegistryClient registry = new CachedSchemaRegistryClient(List.of(arguments[0]), 1000, settings);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        java.io.PrintStream output = new java.io.PrintStream(System.out, true, "UTF-8");
        for (boolean isKey : new boolean[] {true, false}) {
            DESERIALIZERS.put(isKey, new KafkaAvroDeserializer());
            DESERIALIZERS.get(isKey).configure(settings, isKey);
            CONVERTERS.put(isKey, new AvroConverter());
            CONVERTERS.get(isKey).configure(settings, isKey);
        }
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            JsonNode question = JSON.readTree(line);
            String topic = question.get("topic").asText();
            boolean isKey = question.get("key").asBoolean();
            byte[] data = question.get("data").binaryValue();
            Object avro = DESERIALIZERS.get(isKey).deserialize(topic, data);
            ObjectNode answer = JSON.createObjectNode();
            answer.set("avro", plain(avro));
            try {
                SchemaAndValue connect = CONVERTERS.get(isKey).toConnectData(topic, data);
                answer.set("connect", plain(connect.value()));
                answer.put("schema", connect.schema().name());
            } catch (NumberFormatException refused) {
                answer.put("refused", refused.getMessage());
            }
            AvroSchema schema = new AvroSchema(((GenericRecord) avro).getSchema());
            answer.put("known", registry.getId(topic + (isKey ? "-key" : "-value"), schema));
            output.println(JSON.writeValueAsString(answer));
        }
    }

    private static final Map<Boolean, KafkaAvroDeserializer> DESERIALIZERS = new HashMap<>();
    private static final Map<Boolean, AvroConverter> CONVERTERS = new HashMap<>();

    private static JsonNode plain(Object value) {
        if (value instanceof BigDecimal) {
            return JSON.createObjectNode().put("decimal", ((BigDecimal) value).toPlainString());
        }
        if (value == null || value instanceof Boolean || value instanceof Number && !isReal(value)) {
            return JSON.valueToTree(value);
        }
        if (isReal(value)) {
            return JSON.createObjectNode().put("bits", Double.doubleToLongBits(((Number) value).doubleValue()));
        }
        if (value instanceof ByteBuffer) {
            ByteBuffer copy = ((ByteBuffer) value).duplicate();
            byte[] bytes = new byte[copy.remaining()];
            copy.get(bytes);
            return JSON.createObjectNode().put("bytes", BASE64.encodeToString(bytes));
        }
        if (value instanceof byte[]) {
            return JSON.createObjectNode().put("bytes", BASE64.encodeToString((byte[]) value));
        }
        if (value instanceof Iterable) {
            ArrayNode list = JSON.createArrayNode();
            ((Iterable<?>) value).forEach(item -> list.add(plain(item)));
            return list;
        }
        ObjectNode object = JSON.createObjectNode();
        if (value instanceof GenericRecord) {
            GenericRecord record = (GenericRecord) value;
            record.getSchema().getFields().forEach(field -> object.set(field.name(), plain(record.get(field.pos()))));
        } else if (value instanceof Struct) {
            Struct struct = (Struct) value;
            for (Field field : struct.schema().fields()) {
                object.set(field.name(), plain(struct.getWithoutDefault(field.name())));
            }
        } else if (value instanceof Map) {
            ((Map<?, ?>) value).forEach((key, member) -> object.set(key.toString(), plain(member)));
        } else {
            return JSON.getNodeFactory().textNode(value.toString());
        }
        return object;
    }

    private static boolean isReal(Object value) {
        return value instanceof Float || value instanceof Double;
    }
}
