import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.confluent.connect.avro.AvroData;
import io.debezium.data.VariableScaleDecimal;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.storage.SimpleHeaderConverter;

/** Says what Kafka Connect and Confluent's AvroData make of schemas and structs: one case a line in, one answer out. */
public final class ConnectJudge {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        JsonConverter bare = new JsonConverter();
        bare.configure(Map.of("schemas.enable", "false"), false);
        JsonConverter full = new JsonConverter();
        full.configure(Map.of("schemas.enable", "true"), false);
        SimpleHeaderConverter header = new SimpleHeaderConverter();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        java.io.PrintStream output = new java.io.PrintStream(System.out, true, "UTF-8");
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            JsonNode question = JSON.readTree(line);
            Schema schema = schema(question.get("schema"));
            Struct value = (Struct) value(schema, question.get("value"));
            AvroData avro = new AvroData(100);
            org.apache.avro.Schema avroSchema = avro.fromConnectSchema(schema);
            ByteArrayOutputStream octets = new ByteArrayOutputStream();
            BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(octets, null);
            new GenericDatumWriter<Object>(avroSchema).write(avro.fromConnectData(schema, value), encoder);
            encoder.flush();
            ObjectNode answer = JSON.createObjectNode();
            answer.set("avro", JSON.readTree(avroSchema.toString()));
            answer.put("bytes", Base64.getEncoder().encodeToString(octets.toByteArray()));
            answer.set("json", JSON.readTree(bare.fromConnectData("t", schema, value)));
            answer.set("json_schema", JSON.readTree(full.fromConnectData("t", schema, value)));
            answer.put("header", new String(header.fromConnectHeader("t", "h", schema, value), StandardCharsets.UTF_8));
            output.println(JSON.writeValueAsString(answer));
        }
    }

    private static Schema schema(JsonNode node) {
        SchemaBuilder builder;
        String type = node.get("type").asText();
        if (type.equals("array")) {
            builder = SchemaBuilder.array(schema(node.get("items")));
        } else if (type.equals("map")) {
            builder = SchemaBuilder.map(Schema.STRING_SCHEMA, schema(node.get("items")));
        } else {
            builder = new SchemaBuilder(Schema.Type.valueOf(type.toUpperCase()));
        }
        if (node.hasNonNull("name")) {
            builder.name(node.get("name").asText());
        }
        if (node.hasNonNull("version")) {
            builder.version(node.get("version").asInt());
        }
        if (node.hasNonNull("doc")) {
            builder.doc(node.get("doc").asText());
        }
        if (node.get("optional").asBoolean()) {
            builder.optional();
        }
        for (Iterator<Map.Entry<String, JsonNode>> i = node.get("parameters").fields(); i.hasNext();) {
            Map.Entry<String, JsonNode> parameter = i.next();
            builder.parameter(parameter.getKey(), parameter.getValue().asText());
        }
        for (JsonNode field : node.get("fields")) {
            builder.field(field.get("name").asText(), schema(field.get("schema")));
        }
        if (node.has("default")) {
            builder.defaultValue(value(builder, node.get("default")));
        }
        return builder.build();
    }

    private static Object value(Schema schema, JsonNode node) {
        if (node == null || node.isNull()) {
            return null;
        }
        if (Decimal.LOGICAL_NAME.equals(schema.name())) {
            return new BigDecimal(node.asText());
        }
        if (VariableScaleDecimal.LOGICAL_NAME.equals(schema.name())) {
            return VariableScaleDecimal.fromLogical(built(schema), new BigDecimal(node.asText()));
        }
        switch (schema.type()) {
            case INT8:
                return (byte) node.asInt();
            case INT16:
                return (short) node.asInt();
            case INT32:
                return node.asInt();
            case INT64:
                return node.asLong();
            case FLOAT32:
                return Float.valueOf(node.asText());
            case FLOAT64:
                return Double.valueOf(node.asText());
            case BOOLEAN:
                return node.asBoolean();
            case STRING:
                return node.asText();
            case BYTES:
                return ByteBuffer.wrap(Base64.getDecoder().decode(node.asText()));
            case ARRAY:
                List<Object> list = new ArrayList<>();
                node.forEach(item -> list.add(value(schema.valueSchema(), item)));
                return list;
            case MAP:
                Map<String, Object> map = new HashMap<>();
                node.fields().forEachRemaining(entry -> map.put(entry.getKey(), value(schema.valueSchema(), entry.getValue())));
                return map;
            default:
                Struct struct = new Struct(built(schema));
                for (Field field : schema.fields()) {
                    struct.put(field, value(field.schema(), node.get(field.name())));
                }
                return struct;
        }
    }

    private static Schema built(Schema schema) {
        return schema instanceof SchemaBuilder ? ((SchemaBuilder) schema).build() : schema;
    }
}
