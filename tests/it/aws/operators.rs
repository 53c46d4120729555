//! `serve --backend aws` beside the deployed functions: what it passes on to their queues.

use aws_sdk_sqs::types::QueueAttributeName;
use cloakroom_aws::ClientOptions;
use cloakroom_emulators::MiniStack;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::serve::{ministack, on_aws, send};
use crate::support::consumer::Consumer;
use crate::support::server::Server;
use crate::support::wait_until;

const CONFIG: &str = "\
sources:
  transfers:
    verify: { scheme: adyen, secrets: [env:HEX_SECRET] }
    key: body:/data/id
    order: { kind: dense, at: body:/data/sequenceNumber, first: 1, gap: { after: 1h, then: wait } }
subscriptions:
  ledger:
    sources: [transfers]
    from: earliest
    retry: { attempts: 1 }
    sink: { http: { url: \"URL\", secret: env:SECRET } }
server: { allow_private_sinks: true }
";

/// The queues of the deployed functions, with nobody who reads them.
struct Queues {
    runtime: Runtime,
    client: aws_sdk_sqs::Client,
    doorbells: String,
    timers: String,
}

impl Queues {
    fn make(ministack: &MiniStack) -> Self {
        let runtime = Runtime::new().unwrap();
        let options = ClientOptions::emulator(ministack.endpoint(), MiniStack::REGION);
        let (client, doorbells, timers) = runtime.block_on(async {
            let client = aws_sdk_sqs::Client::new(&options.load().await.unwrap());
            let doorbells = client.create_queue().queue_name("doorbells.fifo");
            let doorbells = doorbells.attributes(QueueAttributeName::FifoQueue, "true");
            let doorbells = doorbells.send().await.unwrap().queue_url.unwrap();
            let timers = client.create_queue().queue_name("timers").send();
            let timers = timers.await.unwrap().queue_url.unwrap();
            (client, doorbells, timers)
        });
        Self {
            runtime,
            client,
            doorbells,
            timers,
        }
    }

    /// Everything that is in a queue.
    fn take(&self, url: &str) -> Vec<Value> {
        let mut taken = Vec::new();
        loop {
            let received = self.client.receive_message().queue_url(url);
            let received = received.max_number_of_messages(10).send();
            let received = self.runtime.block_on(received).unwrap();
            let messages = received.messages.unwrap_or_default();
            if messages.is_empty() {
                return taken;
            }
            for message in messages {
                let handle = message.receipt_handle().unwrap();
                let delete = self.client.delete_message().queue_url(url);
                let delete = delete.receipt_handle(handle).send();
                self.runtime.block_on(delete).unwrap();
                taken.push(serde_json::from_str(message.body().unwrap()).unwrap());
            }
        }
    }
}

#[test]
fn it_passes_on_what_nobody_else_tells_and_nothing_else() {
    let (ministack, folder) = (ministack(), tempfile::tempdir().unwrap());
    let consumer = Consumer::deciding(|_| (500, Vec::new()));
    let config = CONFIG.replace("URL", &consumer.url("/hooks"));
    let queues = Queues::make(&ministack);
    let start = |more: &[&str]| {
        let mut command = on_aws(folder.path(), &ministack, more);
        Server::start_as(&mut command, folder.path(), &config)
    };

    let server = start(&["--create", "--run-pipes"]);
    send(&server, 1);
    wait_until("the stream is parked", || {
        let parked = server.get("/v1/streams?attention=parked");
        !parked["items"].as_array().unwrap().is_empty()
    });
    server.stop();

    let beside = ["--doorbells", &queues.doorbells, "--timers", &queues.timers];
    let server = start(&beside);
    for number in [2, 4, 5] {
        send(&server, number);
    }
    // When it stops it has passed everything on.
    server.stop();
    assert_eq!(queues.take(&queues.doorbells), [json!(null); 0]);
    assert_eq!(queues.take(&queues.timers), [json!(null); 0]);

    let server = start(&beside);
    let stream = "transfers/TR-1";
    let retry = format!("/v1/subscriptions/ledger/streams/{stream}/retry");
    server.post(&retry, &json!({}));
    server.post(&format!("/v1/streams/{stream}/skip-gap"), &json!({}));
    server.stop();
    let stream = json!({"source": "transfers", "key": "TR-1"});
    let deliver = json!({"deliver": {"subscription": "ledger", "stream": stream}});
    assert_eq!(queues.take(&queues.doorbells), [deliver]);
    let resequence = json!({"resequence": {"stream": stream}});
    assert_eq!(queues.take(&queues.timers), [resequence]);
}
