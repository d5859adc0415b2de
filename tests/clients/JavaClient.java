// Java's own HTTP client, as an application uses it: no proxy, the roots of its trust store. Arguments: URLs.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

class JavaClient {
    public static void main(String[] urls) throws Exception {
        var client = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(60)).build();
        for (var url : urls) {
            var request = HttpRequest.newBuilder(URI.create(url))
                .header("Authorization", "Bearer own-key-of-the-application")
                .timeout(Duration.ofSeconds(60))
                .build();
            var reply = client.send(request, HttpResponse.BodyHandlers.ofString());
            var type = reply.headers().firstValue("content-type").orElse("");
            System.out.println("{\"status\": " + reply.statusCode() + ", \"type\": " + text(type) + ", \"body\": " + text(reply.body()) + "}");
        }
    }

    static String text(String value) {
        return "\"" + value.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + "\"";
    }
}
