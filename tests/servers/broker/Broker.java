import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * One Kafka broker and controller in one process: formats its data folder if that is new, and runs.
 *
 * <p>Arguments: the properties file, the data folder, the cluster's id, then what the format tool is to be told besides.
 */
final class Broker {
    public static void main(String[] arguments) {
        String properties = arguments[0];
        if (!Files.exists(Path.of(arguments[1], "meta.properties"))) {
            List<String> format = new ArrayList<>(List.of("format", "--config", properties, "--cluster-id", arguments[2]));
            format.addAll(List.of(arguments).subList(3, arguments.length));
            int code = kafka.tools.StorageTool.execute(format.toArray(new String[0]), System.err);
            if (code != 0) {
                System.exit(code);
            }
        }
        kafka.Kafka.main(new String[] {properties});
    }
}
