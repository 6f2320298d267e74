"""paho-mqtt as a program.

paho_client.py sub VERSION URL NAME COUNT QOS:FILTER...   prints "ready", then "topic qos payload" a message
paho_client.py pub VERSION URL NAME QOS:TOPIC...          publishes each topic to itself

VERSION is the protocol's level: 4 is MQTT 3.1.1; URL is mqtt:// or ws://. Whatever goes wrong ends it with an exit code that is not 0.
"""

import sys
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt


def subscriber(client, count, filters):
    unanswered = {}
    left = count

    def connected(client, userdata, flags, reason, properties):
        for qos, topic_filter in filters:
            _, mid = client.subscribe(topic_filter, qos)
            unanswered[mid] = qos

    def subscribed(client, userdata, mid, reasons, properties):
        qos = unanswered.pop(mid)
        if [reason.value for reason in reasons] != [qos]:
            sys.exit(f"asked for QoS {qos}, granted {reasons}")
        if not unanswered:
            print("ready", flush=True)

    def received(client, userdata, message):
        nonlocal left
        print(message.topic, message.qos, message.payload.decode(), flush=True)
        left -= 1
        if left == 0:
            client.disconnect()

    client.on_connect, client.on_subscribe, client.on_message = connected, subscribed, received


def publisher(client, messages):
    left = len(messages)

    def connected(client, userdata, flags, reason, properties):
        for qos, topic in messages:
            client.publish(topic, topic, qos)

    def published(client, userdata, mid, reason, properties):
        nonlocal left
        if reason.is_failure:
            sys.exit(f"not published: {reason}")
        left -= 1
        if left == 0:
            client.disconnect()

    client.on_connect, client.on_publish = connected, published


def main():
    role, version, url, name, *rest = sys.argv[1:]
    broker = urlsplit(url)
    # A second connection would hide that the first was lost, and with it messages.
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2,
        client_id=name,
        protocol=int(version),
        transport="websockets" if broker.scheme == "ws" else "tcp",
        reconnect_on_failure=False,
    )
    if broker.scheme == "ws":
        client.ws_set_options(path=broker.path)
    count = int(rest.pop(0)) if role == "sub" else 0
    topics = [(int(qos), topic) for qos, topic in (argument.split(":", 1) for argument in rest)]
    if role == "sub":
        subscriber(client, count, topics)
    else:
        publisher(client, topics)
    ordered = False

    def disconnected(client, userdata, flags, reason, properties):
        nonlocal ordered
        ordered = not flags.is_disconnect_packet_from_server and not reason.is_failure

    client.on_disconnect = disconnected
    client.connect(broker.hostname, broker.port)
    client.loop_forever()
    if not ordered:
        sys.exit("the connection was lost or refused")


main()
