import org.codelibs.opensearch.runner.OpenSearchRunner;

/**
 * One OpenSearch node with the security plug-in.
 *
 * <p>Arguments: the folder, in which node_1/config holds the certificates and the plug-in's files, then settings as
 * name=value, lists as name[]=value.
 */
final class Node {
    public static void main(String[] arguments) throws Exception {
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> {
            for (int at = 1; at < arguments.length; at++) {
                String[] pair = arguments[at].split("=", 2);
                if (pair[0].endsWith("[]")) {
                    settings.putList(pair[0].substring(0, pair[0].length() - 2), pair[1]);
                } else {
                    settings.put(pair[0], pair[1]);
                }
            }
        });
        runner.build(OpenSearchRunner.newConfigs().basePath(arguments[0]).numOfNode(1).clusterName("tailrace")
            .pluginTypes("org.opensearch.security.OpenSearchSecurityPlugin"));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                runner.close();
            } catch (java.io.IOException error) {
                error.printStackTrace();
            }
        }));
        Thread.currentThread().join();
    }
}
